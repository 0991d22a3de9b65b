/*
 * param_value.c - values of parameters: from text, to text, from and to variables
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "openpal/mca/param.h"

static const struct {
    const char *name, *expected;
} types[MCA_BASE_VAR_TYPE_MAX] = {
    [MCA_BASE_VAR_TYPE_INT] = {"int", "a whole number"},
    [MCA_BASE_VAR_TYPE_UNSIGNED_INT] = {"unsigned int", "a whole number, 0 or more"},
    [MCA_BASE_VAR_TYPE_UNSIGNED_LONG] = {"unsigned long", "a whole number, 0 or more"},
    [MCA_BASE_VAR_TYPE_UNSIGNED_LONG_LONG] = {"unsigned long long", "a whole number, 0 or more"},
    [MCA_BASE_VAR_TYPE_SIZE_T] = {"size", "a whole number, 0 or more"},
    [MCA_BASE_VAR_TYPE_STRING] = {"string", "a string"},
    [MCA_BASE_VAR_TYPE_VERSION_STRING] = {"version", "a string"},
    [MCA_BASE_VAR_TYPE_BOOL] = {"bool", "true or false"},
    [MCA_BASE_VAR_TYPE_DOUBLE] = {"double", "a number"},
};

const char *mca_type_name(mca_base_var_type_t type)
{
    return types[type].name;
}

/* ---- from text ---- */

static int parse_int(const char *text, int *ret)
{
    char *end;
    long long number;

    if (isspace((unsigned char)*text))
        return OPAL_ERR_BAD_PARAM;
    errno = 0;
    number = strtoll(text, &end, 0);
    if (end == text || *end)
        return OPAL_ERR_BAD_PARAM;
    if (errno == ERANGE || number < INT_MIN || number > INT_MAX)
        return OPAL_ERR_VALUE_OUT_OF_BOUNDS;
    *ret = (int)number;
    return OPAL_SUCCESS;
}

static int parse_unsigned(const char *text, unsigned long long max, unsigned long long *ret)
{
    char *end;
    unsigned long long number;

    if (isspace((unsigned char)*text))
        return OPAL_ERR_BAD_PARAM;
    errno = 0;
    number = strtoull(text, &end, 0);
    if (end == text || *end)
        return OPAL_ERR_BAD_PARAM;
    if (errno == ERANGE || *text == '-' || number > max)
        return OPAL_ERR_VALUE_OUT_OF_BOUNDS;
    *ret = number;
    return OPAL_SUCCESS;
}

static int parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"1", "true", "t", "yes", "y", "enabled", "on"};
    static const char *const no[] = {"0", "false", "f", "no", "n", "disabled", "off"};

    for (size_t i = 0; i < ELEMENTS(yes); i++) {
        bool truth = strcasecmp(text, yes[i]) == 0;

        if (truth || strcasecmp(text, no[i]) == 0) {
            *ret = truth;
            return OPAL_SUCCESS;
        }
    }
    return OPAL_ERR_BAD_PARAM;
}

static int parse_double(const char *text, double *ret)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end || isspace((unsigned char)*text))
        return OPAL_ERR_BAD_PARAM;
    if (!isfinite(number))
        return OPAL_ERR_VALUE_OUT_OF_BOUNDS;
    *ret = number;
    return OPAL_SUCCESS;
}

static int parse_string(const char *text, char **ret)
{
    *ret = strdup(text);
    return *ret ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}

/* One of the names, or one of the numbers behind them. */
static int parse_enum(const mca_base_var_enum_t *enumerator, const char *text, int *ret)
{
    int number = 0;
    bool is_number = parse_int(text, &number) == OPAL_SUCCESS;

    for (const mca_base_var_enum_value_t *v = enumerator->enum_values; v->string; v++) {
        if (strcasecmp(v->string, text) == 0 || (is_number && v->value == number)) {
            *ret = v->value;
            return OPAL_SUCCESS;
        }
    }
    return is_number ? OPAL_ERR_VALUE_OUT_OF_BOUNDS : OPAL_ERR_BAD_PARAM;
}

static int parse_wide(mca_base_var_type_t type, const char *text, union mca_value *ret)
{
    unsigned long long number = 0;
    unsigned long long max = type == MCA_BASE_VAR_TYPE_UNSIGNED_INT         ? UINT_MAX
                             : type == MCA_BASE_VAR_TYPE_UNSIGNED_LONG_LONG ? ULLONG_MAX
                                                                            : ULONG_MAX;
    int r = parse_unsigned(text, max, &number);

    if (r != OPAL_SUCCESS)
        return r;
    if (type == MCA_BASE_VAR_TYPE_UNSIGNED_INT)
        ret->unsigned_number = (unsigned)number;
    else if (type == MCA_BASE_VAR_TYPE_UNSIGNED_LONG)
        ret->long_number = (unsigned long)number;
    else if (type == MCA_BASE_VAR_TYPE_SIZE_T)
        ret->size = (size_t)number;
    else
        ret->longest_number = number;
    return OPAL_SUCCESS;
}

int mca_value_parse(mca_base_var_type_t type, const mca_base_var_enum_t *enumerator,
                    const char *text, union mca_value *ret)
{
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT:
        return enumerator ? parse_enum(enumerator, text, &ret->number)
                          : parse_int(text, &ret->number);
    case MCA_BASE_VAR_TYPE_BOOL:
        return parse_bool(text, &ret->truth);
    case MCA_BASE_VAR_TYPE_DOUBLE:
        return parse_double(text, &ret->real);
    case MCA_BASE_VAR_TYPE_STRING:
    case MCA_BASE_VAR_TYPE_VERSION_STRING:
        return parse_string(text, &ret->string);
    case MCA_BASE_VAR_TYPE_MAX:
        return OPAL_ERR_BAD_PARAM;
    default:
        return parse_wide(type, text, ret);
    }
}

/* ---- to text ---- */

static char *enum_text(const mca_base_var_enum_t *enumerator, int number)
{
    for (const mca_base_var_enum_value_t *v = enumerator->enum_values; v->string; v++)
        if (v->value == number)
            return strdup(v->string);
    return format_string("%d", number);
}

char *mca_value_text(mca_base_var_type_t type, const mca_base_var_enum_t *enumerator,
                     const union mca_value *value)
{
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT:
        return enumerator ? enum_text(enumerator, value->number)
                          : format_string("%d", value->number);
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT:
        return format_string("%u", value->unsigned_number);
    case MCA_BASE_VAR_TYPE_UNSIGNED_LONG:
        return format_string("%lu", value->long_number);
    case MCA_BASE_VAR_TYPE_UNSIGNED_LONG_LONG:
        return format_string("%llu", value->longest_number);
    case MCA_BASE_VAR_TYPE_SIZE_T:
        return format_string("%zu", value->size);
    case MCA_BASE_VAR_TYPE_BOOL:
        return strdup(value->truth ? "true" : "false");
    case MCA_BASE_VAR_TYPE_DOUBLE:
        return format_string("%.17g", value->real);
    case MCA_BASE_VAR_TYPE_STRING:
    case MCA_BASE_VAR_TYPE_VERSION_STRING:
        return value->string ? strdup(value->string) : NULL;
    case MCA_BASE_VAR_TYPE_MAX:
        break;
    }
    return NULL;
}

char *mca_value_expected(mca_base_var_type_t type, const mca_base_var_enum_t *enumerator)
{
    char *text = NULL, *longer;

    if (!enumerator || type != MCA_BASE_VAR_TYPE_INT)
        return strdup(types[type].expected);
    for (const mca_base_var_enum_value_t *v = enumerator->enum_values; v->string; v++) {
        longer = format_string("%s%s%s (%d)", text ? text : "one of ", text ? ", " : "", v->string,
                               v->value);
        free(text);
        text = longer;
        if (!text)
            break;
    }
    return text;
}

/* ---- variables ---- */

static size_t size_of(mca_base_var_type_t type)
{
    static const size_t sizes[MCA_BASE_VAR_TYPE_MAX] = {
        [MCA_BASE_VAR_TYPE_INT] = sizeof(int),
        [MCA_BASE_VAR_TYPE_UNSIGNED_INT] = sizeof(unsigned),
        [MCA_BASE_VAR_TYPE_UNSIGNED_LONG] = sizeof(unsigned long),
        [MCA_BASE_VAR_TYPE_UNSIGNED_LONG_LONG] = sizeof(unsigned long long),
        [MCA_BASE_VAR_TYPE_SIZE_T] = sizeof(size_t),
        [MCA_BASE_VAR_TYPE_STRING] = sizeof(char *),
        [MCA_BASE_VAR_TYPE_VERSION_STRING] = sizeof(char *),
        [MCA_BASE_VAR_TYPE_BOOL] = sizeof(bool),
        [MCA_BASE_VAR_TYPE_DOUBLE] = sizeof(double),
    };
    return sizes[type];
}

void mca_value_load(mca_base_var_type_t type, const void *storage, union mca_value *ret)
{
    memcpy(ret, storage, size_of(type));
}

void mca_value_store(mca_base_var_type_t type, const union mca_value *value, void *storage)
{
    memcpy(storage, value, size_of(type));
}
