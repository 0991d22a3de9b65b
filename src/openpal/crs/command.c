/*
 * command.c - a command line as one string
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "opal/constants.h"
#include "opal/util/argv.h"
#include "openpal/crs/command.h"

struct splitter {
    const char *at;
    char *word;
    size_t n;
    const char *fault;
};

static void put(struct splitter *s, char c)
{
    s->word[s->n++] = c;
}

static void take_single(struct splitter *s)
{
    while (*s->at && *s->at != '\'')
        put(s, *s->at++);
}

static void take_double(struct splitter *s)
{
    while (*s->at && *s->at != '"') {
        bool kept = s->at[0] == '\\' && s->at[1] && strchr("\"\\$`\n", s->at[1]);

        s->at += kept;
        put(s, *s->at++);
    }
}

static int digit(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Behind the backslash of $'...'. */
static void take_escape(struct splitter *s)
{
    static const char letters[] = "ntr\\'\"", bytes[] = "\n\t\r\\'\"";
    const char *letter = *s->at ? strchr(letters, *s->at) : NULL;

    if (letter) {
        put(s, bytes[letter - letters]);
        s->at++;
        return;
    }
    int high = *s->at == 'x' ? digit(s->at[1]) : -1;
    int low = high >= 0 ? digit(s->at[2]) : -1;
    if (low < 0 || high * 16 + low == 0) {
        s->fault = "it has an unknown escape in $'...'";
        return;
    }
    put(s, (char)(high * 16 + low));
    s->at += 3;
}

static void take_escaped(struct splitter *s)
{
    while (*s->at && *s->at != '\'' && !s->fault)
        if (*s->at != '\\')
            put(s, *s->at++);
        else {
            s->at++;
            take_escape(s);
        }
}

/* The mark that begins it is where s->at is. */
static void take_quoted(struct splitter *s)
{
    char end = *s->at == '$' ? '\'' : *s->at;
    void (*take)(struct splitter *) = *s->at == '$'    ? take_escaped
                                      : *s->at == '\'' ? take_single
                                                       : take_double;

    s->at += *s->at == '$' ? 2 : 1;
    take(s);
    if (!s->fault && *s->at != end)
        s->fault = "a quote in it isn't closed";
    else if (!s->fault)
        s->at++;
}

static bool is_quote(const char *at)
{
    return *at == '\'' || *at == '"' || (at[0] == '$' && at[1] == '\'');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static void take_word(struct splitter *s)
{
    s->n = 0;
    while (*s->at && !is_blank(*s->at) && !s->fault)
        if (is_quote(s->at))
            take_quoted(s);
        else if (*s->at == '\\' && !s->at[1])
            s->fault = "it ends with a backslash";
        else {
            s->at += *s->at == '\\';
            put(s, *s->at++);
        }
    s->word[s->n] = '\0';
}

const char *opal_crs_command_split(const char *text, char ***ret_argv)
{
    _cleanup_free_ char *word = malloc(strlen(text) + 1);
    struct splitter s = {.at = text, .word = word, .fault = word ? NULL : "there is no memory"};
    char **argv = NULL;

    for (;;) {
        while (!s.fault && is_blank(*s.at))
            s.at++;
        if (s.fault || !*s.at)
            break;
        take_word(&s);
        if (!s.fault && opal_argv_append_nosize(&argv, word) != OPAL_SUCCESS)
            s.fault = "there is no memory";
    }
    if (!s.fault && !argv)
        s.fault = "it has no word";
    if (s.fault) {
        opal_argv_free(argv);
        return s.fault;
    }
    *ret_argv = argv;
    return NULL;
}

/* ---- the way back ---- */

static bool is_plain(const char *word)
{
    if (!*word)
        return false;
    for (; *word; word++)
        if (!isalnum((unsigned char)*word) && !strchr("@%+=:,./_-", *word))
            return false;
    return true;
}

/* In $'...': bytes that have no place in a line, and quotes. */
static char *put_escaped(char *to, const char *word)
{
    static const char digits[] = "0123456789abcdef";

    for (; *word; word++) {
        unsigned char c = *word;

        if (c == '\\' || c == '\'') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c < ' ' || c == 0x7f) {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = digits[c / 16];
            *to++ = digits[c % 16];
        } else
            *to++ = (char)c;
    }
    return to;
}

static bool has_special(const char *word)
{
    for (; *word; word++)
        if (*word == '\'' || (unsigned char)*word < ' ' || *word == 0x7f)
            return true;
    return false;
}

/* At most four bytes for one, and five around them with the blank before. */
static char *put_word(char *to, const char *word)
{
    if (is_plain(word))
        return stpcpy(to, word);
    if (has_special(word))
        to = put_escaped(stpcpy(to, "$'"), word);
    else
        to = stpcpy(stpcpy(to, "'"), word);
    *to++ = '\'';
    return to;
}

char *opal_crs_command_join(char **argv)
{
    size_t size = 1;
    char *text, *to;

    for (char **word = argv; *word; word++)
        size += 4 * strlen(*word) + 5;
    to = text = malloc(size);
    for (char **word = argv; text && *word; word++) {
        if (word != argv)
            *to++ = ' ';
        to = put_word(to, *word);
    }
    if (text)
        *to = '\0';
    return text;
}
