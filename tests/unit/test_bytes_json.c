/* test_bytes_json.c - strings of any bytes through JSON */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "service/bytes_json.h"

/* Through a line of JSON and back. */
static void there_and_back(const char *bytes)
{
    json_t *object = json_pack("{s:o}", "text", bytes_to_json(bytes));
    char *line = json_dumps(object, JSON_COMPACT);
    assert_non_null(line);
    json_t *read = json_loads(line, 0, NULL);
    assert_non_null(read);
    char *again = bytes_from_json(json_object_get(read, "text"));
    assert_non_null(again);
    assert_string_equal(again, bytes);
    free(again);
    free(line);
    json_decref(read);
    json_decref(object);
}

static void every_byte(void **state)
{
    for (int byte = 1; byte < 256; byte++) {
        const char texts[][4] = {
            {(char)byte}, {'a', (char)byte, 'b'}, {(char)byte, (char)byte, 'z'}};
        for (size_t i = 0; i < 3; i++)
            there_and_back(texts[i]);
    }
}

static void every_pair(void **state)
{
    for (int first = 1; first < 256; first++)
        for (int second = 1; second < 256; second += second < 0x7f ? 17 : 1) {
            const char text[] = {(char)first, (char)second, 0};
            there_and_back(text);
        }
}

static void near_utf8(void **state)
{
    static const char *const texts[] = {
        "",
        "/home/m\303\274ller",
        "/home/m\374ller",
        "\342\202\254",
        "\342\202",
        "\360\237\230\200",
        "\360\237\230",
        "\300\200",
        "\340\200\200",
        "\355\240\200",
        "\355\237\277",
        "\364\217\277\277",
        "\364\220\200\200",
        "\365\200\200\200",
        "\001",
        "\001\001\377",
        "\377\001",
        "\001\303\277",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        there_and_back(texts[i]);
}

static void utf8_stays(void **state)
{
    json_t *text = bytes_to_json("/home/m\303\274ller");

    assert_string_equal(json_string_value(text), "/home/m\303\274ller");
    json_decref(text);
}

static void refused(void **state)
{
    static const char *const texts[] = {"\001", "a\001", "\001b", "\001\304\200"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *text = json_string(texts[i]);
        assert_null(bytes_from_json(text));
        json_decref(text);
    }
    json_t *with_zero = json_stringn("a\0b", 3), *number = json_integer(1);
    assert_null(bytes_from_json(with_zero));
    assert_null(bytes_from_json(number));
    assert_null(bytes_from_json(NULL));
    json_decref(with_zero);
    json_decref(number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte), cmocka_unit_test(every_pair), cmocka_unit_test(near_utf8),
        cmocka_unit_test(utf8_stays), cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
