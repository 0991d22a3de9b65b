/*
 * objects.c - classes, reference counts, lists, arrays of strings, environments, words for errors
 */
#include <pthread.h>
#include <string.h>

#include "opal/class/opal_list.h"
#include "opal/constants.h"
#include "opal/util/argv.h"
#include "opal/util/opal_environ.h"
#include "openpal_test.h"

static char trace[64];

static void mark(char letter)
{
    char text[2] = {letter, '\0'};

    strcat(trace, text);
}

typedef struct {
    opal_list_item_t super;
    int number;
} numbered_t;
typedef struct {
    numbered_t super;
    char *name;
} named_t;

static void numbered_begin(numbered_t *n)
{
    mark('a');
    n->number = 7;
}

static void numbered_end(numbered_t *n)
{
    mark('d');
}

static void named_begin(named_t *n)
{
    mark('b');
    n->name = strdup("name");
}

static void named_end(named_t *n)
{
    mark('c');
    free(n->name);
}

OBJ_CLASS_INSTANCE(numbered_t, opal_list_item_t, numbered_begin, numbered_end);
OBJ_CLASS_INSTANCE(named_t, numbered_t, named_begin, named_end);

static void chain_of_constructors(void)
{
    named_t *n = OBJ_NEW(named_t), *same = n;
    named_t local;

    CHECK(n && n->super.number == 7 && strcmp(trace, "ab") == 0);
    OBJ_RETAIN(n);
    OBJ_RELEASE(n);
    CHECK(n == same && strcmp(trace, "ab") == 0);
    OBJ_RELEASE(n);
    CHECK(n == NULL && strcmp(trace, "abcd") == 0);
    OBJ_CONSTRUCT(&local, named_t);
    CHECK(strcmp(local.name, "name") == 0);
    OBJ_DESTRUCT(&local);
    CHECK(strcmp(trace, "abcdabcd") == 0);
}

static void *count(void *object)
{
    for (int i = 0; i < 100000; i++) {
        void *mine = object;

        OBJ_RETAIN(mine);
        OBJ_RELEASE(mine);
    }
    return NULL;
}

static void references_of_many_threads(void)
{
    numbered_t *n = OBJ_NEW(numbered_t);
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, count, n) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(n->super.super.obj_reference_count == 1);
    OBJ_RELEASE(n);
}

static void lists(void)
{
    opal_list_t list;
    numbered_t *items[3];
    int seen = 0;

    OBJ_CONSTRUCT(&list, opal_list_t);
    CHECK(opal_list_is_empty(&list) && !opal_list_remove_first(&list));
    for (int i = 0; i < 3; i++) {
        items[i] = OBJ_NEW(numbered_t);
        items[i]->number = i;
    }
    opal_list_append(&list, &items[1]->super);
    opal_list_append(&list, &items[2]->super);
    opal_list_prepend(&list, &items[0]->super);
    for (opal_list_item_t *i = opal_list_get_first(&list); i != opal_list_get_end(&list);
         i = opal_list_get_next(i))
        CHECK(((numbered_t *)i)->number == seen++);
    CHECK(seen == 3 && opal_list_get_size(&list) == 3);
    CHECK(opal_list_remove_item(&list, &items[1]->super) == &items[0]->super);
    CHECK(opal_list_remove_last(&list) == &items[2]->super);
    CHECK(opal_list_remove_first(&list) == &items[0]->super && opal_list_is_empty(&list));
    for (int i = 0; i < 3; i++)
        OBJ_RELEASE(items[i]);
    OBJ_DESTRUCT(&list);
}

static void strings(void)
{
    char **argv = opal_argv_split(",a,,bc,", ','), **copy = opal_argv_copy(argv), *joined;
    int argc = 0;

    CHECK(opal_argv_count(argv) == 2 && strcmp(argv[1], "bc") == 0);
    CHECK(opal_argv_append(&argc, &copy, "d") == OPAL_SUCCESS && argc == 3 && !copy[3]);
    joined = opal_argv_join(copy, ':');
    CHECK(strcmp(joined, "a:bc:d") == 0);
    CHECK(opal_argv_count(NULL) == 0 && !opal_argv_split("", ','));
    free(joined);
    opal_argv_free(argv);
    opal_argv_free(copy);
}

static void environments(void)
{
    char **env = NULL;

    CHECK(opal_setenv("A", "1", false, &env) == OPAL_SUCCESS);
    CHECK(opal_setenv("A", "2=3", false, &env) == OPAL_EXISTS);
    CHECK(opal_setenv("A", "2=3", true, &env) == OPAL_SUCCESS);
    CHECK(opal_setenv("AB", NULL, true, &env) == OPAL_SUCCESS);
    CHECK(opal_setenv("A=B", "", true, &env) == OPAL_ERR_BAD_PARAM);
    CHECK(opal_argv_count(env) == 2 && strcmp(env[0], "A=2=3") == 0);
    CHECK(opal_unsetenv("A", &env) == OPAL_SUCCESS && strcmp(env[0], "AB=") == 0);
    CHECK(opal_unsetenv("A", &env) == OPAL_ERR_NOT_FOUND);
    opal_argv_free(env);
    CHECK(opal_setenv("OWN", "x", true, &environ) == OPAL_SUCCESS);
    CHECK(strcmp(getenv("OWN"), "x") == 0);
    CHECK(opal_unsetenv("OWN", &environ) == OPAL_SUCCESS && !getenv("OWN"));
}

int main(void)
{
    chain_of_constructors();
    references_of_many_threads();
    lists();
    strings();
    environments();
    for (int i = OPAL_SUCCESS; i >= OPAL_ERR_FILE_OPEN_FAILURE; i--)
        CHECK(strcmp(opal_strerror(i), "unknown error") != 0);
    CHECK(strcmp(opal_strerror(OPAL_ERR_FILE_OPEN_FAILURE - 1), "unknown error") == 0);
    CHECK(opal_class_finalize() == OPAL_SUCCESS);
    references_of_many_threads();
    CHECK(opal_class_finalize() == OPAL_SUCCESS);
    return 0;
}
