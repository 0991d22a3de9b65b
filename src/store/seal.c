/* seal.c - encryption of what a snapshot holds */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/io.h"
#include "store/seal.h"

#define ALGORITHM    "xchacha20-poly1305"
#define ID_BYTES     16u
#define TAG_BYTES    16u
#define NONCE_BYTES  24u
#define WRAPPED      (SEAL_KEY_BYTES + SEAL_BYTES)
#define KEY_FILE_MAX 65536u
#define NAME_BYTES   64u
#define SODIUM       "libsodium.so.23"

_Static_assert(TAG_BYTES + NONCE_BYTES == SEAL_BYTES, "what a seal adds");

struct seal {
    uint8_t id[ID_BYTES]; /* of the snapshot */
    uint8_t data_key[SEAL_KEY_BYTES];
    struct seal_key key;
};

/* ---- libsodium ---- */

static struct {
    typeof(&sodium_init) init;
    typeof(&sodium_memzero) memzero;
    typeof(&randombytes_buf) random;
    typeof(&crypto_generichash) hash;
    typeof(&crypto_aead_xchacha20poly1305_ietf_encrypt) encrypt;
    typeof(&crypto_aead_xchacha20poly1305_ietf_decrypt) decrypt;
    bool there;
} sodium;

static void load(void)
{
    void *library = dlopen(SODIUM, RTLD_NOW | RTLD_LOCAL);
    const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"sodium_init", &sodium.init},
        {"sodium_memzero", &sodium.memzero},
        {"randombytes_buf", &sodium.random},
        {"crypto_generichash", &sodium.hash},
        {"crypto_aead_xchacha20poly1305_ietf_encrypt", &sodium.encrypt},
        {"crypto_aead_xchacha20poly1305_ietf_decrypt", &sodium.decrypt},
    };

    sodium.there = library;
    for (size_t i = 0; sodium.there && i < ELEMENTS(symbols); i++) {
        void *found = dlsym(library, symbols[i].name);
        memcpy(symbols[i].to, &found, sizeof(found));
        sodium.there = found;
    }
    sodium.there = sodium.there && sodium.init() >= 0;
}

static int need_sodium(struct crs_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return sodium.there
               ? 0
               : crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                          "encryption takes " SODIUM ", which can't be loaded: install libsodium");
}

/* ---- the user's key ---- */

static pthread_mutex_t in_use_lock = PTHREAD_MUTEX_INITIALIZER;
static struct seal_key in_use;
static bool is_in_use;

int seal_key_load(const char *path, struct seal_key *ret, struct crs_error *err)
{
    static const char purpose[] = "OpenCRS key file, version 1";
    _cleanup_bytes_ struct bytes text = {0};
    int r = need_sodium(err);

    if (r < 0)
        return r;
    r = read_file(AT_FDCWD, path, KEY_FILE_MAX, &text);
    if (r < 0) {
        errno = -r;
        return crs_fail_errno(err, CRS_USAGE, "can't read the key file %s", path);
    }
    if (text.size < SEAL_KEY_BYTES)
        return crs_fail(err, CRS_USAGE, EINVAL,
                        "the key file %s has %zu bytes; a key has %u at least, and is random (head "
                        "-c 32 /dev/urandom >FILE)",
                        path, text.size, SEAL_KEY_BYTES);
    sodium.hash(ret->bytes, sizeof(ret->bytes), text.data, text.size, (const uint8_t *)purpose,
                sizeof(purpose) - 1);
    sodium.memzero(text.data, text.size);
    return 0;
}

int seal_use_key_file(const char *path, struct crs_error *err)
{
    struct seal_key key = {0};
    int r = path ? seal_key_load(path, &key, err) : 0;

    if (r < 0)
        return r;
    pthread_mutex_lock(&in_use_lock);
    in_use = key;
    is_in_use = path;
    pthread_mutex_unlock(&in_use_lock);
    return 0;
}

/* -ENOKEY: there is none. */
static int key_in_use(struct seal_key *ret, struct crs_error *err)
{
    const char *path = secure_getenv("CRS_KEY_FILE");

    pthread_mutex_lock(&in_use_lock);
    bool there = is_in_use;
    *ret = in_use;
    pthread_mutex_unlock(&in_use_lock);
    if (there)
        return 0;
    return path && *path ? seal_key_load(path, ret, err) : -ENOKEY;
}

/* ---- sealing ---- */

/* What is bound to the bytes: a chunk is of any snapshot, all else of this one. */
static size_t bind(const struct seal *seal, const char *name, uint8_t ret[ID_BYTES + NAME_BYTES])
{
    size_t n = name ? strnlen(name, NAME_BYTES) : 0;

    if (!name)
        return 0;
    memcpy(ret, seal->id, ID_BYTES);
    memcpy(ret + ID_BYTES, name, n);
    return ID_BYTES + n;
}

static void encrypt(const struct seal *seal, const uint8_t *key, const char *name, const void *data,
                    size_t size, uint8_t *out)
{
    uint8_t bound[ID_BYTES + NAME_BYTES], nonce[NONCE_BYTES];
    size_t n = bind(seal, name, bound);

    sodium.random(nonce, sizeof(nonce));
    sodium.encrypt(out, NULL, data, size, bound, n, NULL, nonce, key);
    memcpy(out + size + TAG_BYTES, nonce, sizeof(nonce));
}

static int decrypt(const struct seal *seal, const uint8_t *key, const char *name,
                   const uint8_t *data, size_t size, uint8_t *out)
{
    uint8_t bound[ID_BYTES + NAME_BYTES], nonce[NONCE_BYTES];
    size_t n = bind(seal, name, bound);

    if (size < SEAL_BYTES)
        return -EBADMSG;
    memcpy(nonce, data + size - NONCE_BYTES, sizeof(nonce));
    return sodium.decrypt(out, NULL, NULL, data, size - NONCE_BYTES, bound, n, nonce, key) == 0
               ? 0
               : -EBADMSG;
}

void seal_data(const struct seal *seal, const char *name, const void *data, size_t size, void *out)
{
    encrypt(seal, seal->data_key, name, data, size, out);
}

int seal_open_data(const struct seal *seal, const char *name, const void *data, size_t size,
                   void *out)
{
    return decrypt(seal, seal->data_key, name, data, size, out);
}

/* ---- of a snapshot ---- */

static int allocate(const struct seal_key *key, struct seal **ret, struct crs_error *err)
{
    int r = need_sodium(err);

    if (r < 0)
        return r;
    *ret = calloc(1, sizeof(**ret));
    if (!*ret)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    (*ret)->key = *key;
    return 0;
}

int seal_new(const struct seal_key *key, struct seal **ret, struct crs_error *err)
{
    int r = allocate(key, ret, err);

    if (r < 0)
        return r;
    sodium.random((*ret)->id, ID_BYTES);
    sodium.random((*ret)->data_key, SEAL_KEY_BYTES);
    return 0;
}

void seal_share(struct seal *seal, const struct seal *other)
{
    memcpy(seal->data_key, other->data_key, sizeof(seal->data_key));
}

void seal_free(struct seal *seal)
{
    if (seal)
        sodium.memzero(seal, sizeof(*seal));
    free(seal);
}

static json_t *hex(const uint8_t *bytes, size_t n)
{
    char text[2 * WRAPPED + 1];

    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return json_string(text);
}

static int from_hex(const json_t *value, uint8_t *ret, size_t n)
{
    const char *text = json_string_value(value);

    if (!text || strlen(text) != 2 * n || strspn(text, "0123456789abcdef") != 2 * n)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++) {
        unsigned byte = 0;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return -EBADMSG;
        ret[i] = byte;
    }
    return 0;
}

json_t *seal_describe(const struct seal *seal)
{
    uint8_t wrapped[WRAPPED];

    encrypt(seal, seal->key.bytes, "key", seal->data_key, SEAL_KEY_BYTES, wrapped);
    return json_pack("{s:s, s:o, s:o}", "algorithm", ALGORITHM, "id", hex(seal->id, ID_BYTES),
                     "key", hex(wrapped, WRAPPED));
}

static int find_key(const char *path, const struct seal_key *given, struct seal_key *ret,
                    struct crs_error *err)
{
    int r = 0;

    if (given)
        *ret = *given;
    else
        r = key_in_use(ret, err);
    return r == -ENOKEY ? crs_fail(err, CRS_NOT_PERMITTED, ENOKEY,
                                   "%s is encrypted: name the file with its key (--key-file, or "
                                   "the environment variable CRS_KEY_FILE)",
                                   path)
                        : r;
}

int seal_from(const json_t *described, const char *path, const struct seal_key *key,
              struct seal **ret, struct crs_error *err)
{
    const char *algorithm = json_string_value(json_object_get(described, "algorithm"));
    _cleanup_(cleanup_seal) struct seal *seal = NULL;
    uint8_t wrapped[WRAPPED];
    struct seal_key own;

    if (algorithm && strcmp(algorithm, ALGORITHM) != 0)
        return crs_fail(err, CRS_CANT_RESTART, EPROTONOSUPPORT,
                        "%s is encrypted by '%.40s', which this version does not know", path,
                        algorithm);
    int r = find_key(path, key, &own, err);
    if (r == 0)
        r = allocate(&own, &seal, err);
    if (r < 0)
        return r;
    if (!algorithm || from_hex(json_object_get(described, "id"), seal->id, ID_BYTES) < 0 ||
        from_hex(json_object_get(described, "key"), wrapped, WRAPPED) < 0)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "%s: the manifest's 'encryption' can't be",
                        path);
    if (decrypt(seal, own.bytes, "key", wrapped, WRAPPED, seal->data_key) < 0)
        return crs_fail(err, CRS_NOT_PERMITTED, EKEYREJECTED,
                        "%s is encrypted with another key than this one", path);
    *ret = TAKE_PTR(seal);
    return 0;
}
