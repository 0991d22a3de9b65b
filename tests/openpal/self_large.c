/*
 * self_large.c - a program that has much to save, and knows whether it got it back
 *
 * part: no
 *
 *     self_large MIB
 *
 * Its state are random numbers, and a sum of them. It asks for its own checkpoint and ends with it;
 * restarted, it compares, goes on (changes all of them), and shows the sum.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>

#include "opal/mca/crs/base/base.h"
#include "opal/runtime/opal.h"
#include "opal/runtime/opal_cr.h"
#include "openpal_test.h"

#define CHUNK ((size_t)16 << 20)

static struct {
    uint64_t n, sum;
} head;
static uint64_t *numbers;

static int open_state(int flags)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/numbers", opal_crs_base_self_snapshot_directory());
    return open(path, flags | O_CLOEXEC, 0600);
}

/* In large pieces: all of it, or an error. */
static int transfer(int fd, char *data, size_t size, ssize_t (*move)(int, void *, size_t))
{
    while (size > 0) {
        ssize_t n = move(fd, data, size < CHUNK ? size : CHUNK);
        if (n <= 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static ssize_t put(int fd, void *data, size_t size)
{
    return write(fd, data, size);
}

int large_checkpoint(char **restart_cmd)
{
    int fd = open_state(O_WRONLY | O_CREAT | O_EXCL);
    int r = fd < 0 ? -1 : transfer(fd, (char *)&head, sizeof(head), put);

    if (r == 0)
        r = transfer(fd, (char *)numbers, head.n * sizeof(*numbers), put);
    return fd < 0 || close(fd) < 0 || r < 0 ? OPAL_ERROR : OPAL_SUCCESS;
}

int large_restart(void)
{
    int fd = open_state(O_RDONLY);

    CHECK(fd >= 0 && transfer(fd, (char *)&head, sizeof(head), read) == 0);
    numbers = malloc(head.n * sizeof(*numbers));
    CHECK(numbers && transfer(fd, (char *)numbers, head.n * sizeof(*numbers), read) == 0);
    return close(fd);
}

/* Depends on the places of all numbers. */
static uint64_t sum_of(void)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < head.n; i++)
        sum = (sum << 7 | sum >> 57) + numbers[i];
    return sum;
}

static void fill(uint64_t seed)
{
    for (uint64_t i = 0; i < head.n; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        numbers[i] = seed;
    }
}

static void save_and_end(void)
{
    opal_crs_base_ckpt_options_t *options = OBJ_NEW(opal_crs_base_ckpt_options_t);

    options->term = true;
    int r = opal_cr_request_checkpoint(options, "large", NULL, NULL, NULL);
    fprintf(stderr, "%s\n", opal_strerror(r));
    exit(2);
}

int main(int argc, char **argv)
{
    CHECK(opal_init(&argc, &argv) == OPAL_SUCCESS);
    if (!opal_cr_is_restarted()) {
        head.n = strtoull(argv[1], NULL, 10) * (1 << 20) / sizeof(*numbers);
        numbers = malloc(head.n * sizeof(*numbers));
        CHECK(numbers);
        fill(88172645463325252u);
        head.sum = sum_of();
        save_and_end();
    }
    CHECK(sum_of() == head.sum);
    for (uint64_t i = 0; i < head.n; i++)
        numbers[i] += i;
    printf("%llu numbers, then %016llx\n", (unsigned long long)head.n,
           (unsigned long long)sum_of());
    free(numbers);
    return opal_finalize() == OPAL_SUCCESS ? 0 : 1;
}
