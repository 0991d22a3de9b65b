/*
 * fuzz_openpal.c - texts that Open PAL's library reads, mutated again and again: metadata of
 * snapshots, files of parameters, values
 *
 *     fuzz_openpal [SEED [SECONDS]]
 *
 * What is looked for is a crash or a sanitizer's report; and that each value of a key is a part of
 * the text, that a number that is taken is printed and taken as the same again, that a name in a
 * file is a name.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/io.h"
#include "opal/util/argv.h"
#include "openpal/crs/base_internal.h"
#include "openpal/mca/base_internal.h"
#include "openpal/mca/param.h"

#define ROOM 4096

static uint64_t random_state;

static const char *const texts[] = {
    ("# \n# OPAL CRS Component: blcr\n# PID: 4711\n# CONTEXT: ompi_blcr_context.4711\n"
     "# MKDIR: /tmp/a b\n# MKDIR: /tmp/c\n# TOUCH: /tmp/c/d\n# Timestamp: 2026-01-01T00:00:00Z\n"),
    "# comment\ncrs = self,blcr\n crs_base_verbose=0x10\n\ncrs_self_prefix = a = b\nname\n= 1\n",
    "-2147483648 4294967295 1e308 yes no true 0x7fffffffffffffff 0.1 nan inf -0 +7 low high\n",
};

static const char *const tokens[] = {
    CRS_METADATA_COMP, CRS_METADATA_PID, CRS_METADATA_MKDIR, CRS_METADATA_BASE, "#", ""};

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return below ? (random_state >> 11) % below : 0;
}

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "%s:\n%s\n", what, text);
    abort();
}

static void mutate(char *text, size_t *size)
{
    static const char bytes[] = "\n#:= \t\r0\x80\xff,^\"\\%s";
    size_t at = draw(*size), length = draw(*size - at);

    switch (draw(4)) {
    case 0:
        text[at] = bytes[draw(sizeof(bytes) - 1)];
        break;
    case 1:
        text[at] ^= (char)(1 << draw(8));
        break;
    case 2: /* a part is gone */
        memmove(text + at, text + at + length, *size - at - length);
        *size -= length;
        break;
    default: /* a part comes twice */
        if (*size + length < ROOM) {
            memmove(text + at + length, text + at, *size - at);
            *size += length;
        }
    }
    if (*size == 0)
        text[(*size)++] = '#';
    for (size_t i = 0; i < *size; i++)
        if (text[i] == '\0')
            text[i] = '0';
    text[*size] = '\0';
}

static void metadata(const char *text)
{
    const char *token = tokens[draw(ELEMENTS(tokens))];
    char copy[ROOM + 1], **values = NULL;

    strcpy(copy, text);
    if (opal_crs_base_metadata_parse(copy, token, &values) != OPAL_SUCCESS)
        return;
    for (int i = 0; values && values[i]; i++)
        if (!strstr(text, values[i]) || strchr(values[i], '\n'))
            fail("a value that isn't there", text);
    opal_argv_free(values);
}

static int length_of(const char *words, void *total)
{
    *(size_t *)total += strlen(words);
    return 0;
}

static void file(const char *text)
{
    const struct mca_setting *s;
    char copy[ROOM + 1];
    size_t total = 0;

    strcpy(copy, text);
    if (mca_file_parse("/file", copy, MCA_SOURCE_USER_FILE) != OPAL_SUCCESS)
        fail("a file that isn't read", text);
    for (size_t i = 0; (s = mca_setting_at(i)); i++) {
        for (const char *c = s->name; *c; c++)
            if (!isalnum((unsigned char)*c) && *c != '_')
                fail("a name that is none", s->name);
        if (strchr(s->value, '\n') || !strstr(text, s->value))
            fail("a value that isn't there", text);
    }
    mca_base_problem_walk(length_of, &total);
}

static void value(const char *text)
{
    char word[32], *printed;
    size_t length = strcspn(text, " \n");
    mca_base_var_type_t type = (mca_base_var_type_t)draw(MCA_BASE_VAR_TYPE_MAX);
    union mca_value first = {0}, second = {0};

    snprintf(word, sizeof(word), "%.*s", (int)length, text);
    if (type == MCA_BASE_VAR_TYPE_STRING || type == MCA_BASE_VAR_TYPE_VERSION_STRING ||
        mca_value_parse(type, NULL, word, &first) != OPAL_SUCCESS)
        return;
    printed = mca_value_text(type, NULL, &first);
    if (mca_value_parse(type, NULL, printed, &second) != OPAL_SUCCESS)
        fail("a value that can't be read again", printed);
    free(printed);
    printed = mca_value_text(type, NULL, &second);
    if (memcmp(&first, &second, sizeof(first)) != 0)
        fail("a value that is another one then", printed);
    free(printed);
}

static void once(void)
{
    char text[ROOM + 1];
    size_t size = (size_t)sprintf(text, "%s", texts[draw(ELEMENTS(texts))]);

    for (uint64_t n = draw(8); n > 0; n--)
        mutate(text, &size);
    if (mca_base_open(NULL, NULL) != OPAL_SUCCESS)
        fail("can't begin", "");
    metadata(text);
    file(text);
    for (char *at = text; at; at = strpbrk(at, " \n"))
        value(at += strspn(at, " \n"));
    mca_base_close();
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t end = now_us() + 1000000 * (argc > 2 ? strtoull(argv[2], NULL, 0) : 5);
    unsigned long n = 0;

    unsetenv("HOME");
    random_state = seed * 0x9e3779b97f4a7c15 + 1;
    do {
        once();
        n++;
    } while (n < 100 || now_us() < end);
    printf("%lu texts\n", n);
    return 0;
}
