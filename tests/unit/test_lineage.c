/*
 * Which process of a tree is made by which, and in what order: the steps are played in a model of
 * parents, sessions and groups, and what comes out must be what was saved.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/lineage.h"

#define OUTSIDE LINEAGE_OUTSIDE
#define MAX     16

/* shares: the process that it shares its table of descriptors with */
struct saved {
    uint32_t pid, parent, group, session, shares;
};

struct model {
    bool made;
    int parent, session, group; /* members; OUTSIDE: the restarter's */
    int table;                  /* whose descriptors it has */
};

static Crs__Tree *make_tree(const struct saved *saved, size_t n)
{
    Crs__Tree *tree = calloc(1, sizeof(*tree));

    crs__tree__init(tree);
    tree->processes = calloc(n, sizeof(*tree->processes));
    tree->n_processes = n;
    for (size_t i = 0; i < n; i++) {
        Crs__Process *p = tree->processes[i] = calloc(1, sizeof(*p));
        crs__process__init(p);
        p->pid = saved[i].pid;
        p->parent = saved[i].parent;
        p->group = saved[i].group;
        p->session = saved[i].session;
        p->shares_descriptors = saved[i].shares;
        p->exit_signal = SIGCHLD;
    }
    return tree;
}

static int parent_after(const struct lineage *l, struct model *m, int i)
{
    int maker = l->members.items[i].maker;

    switch (l->members.items[i].way) {
    case LINEAGE_STARTED:
        return OUTSIDE;
    case LINEAGE_FORKED:
        return maker;
    case LINEAGE_AS_SIBLING:
        return m[maker].parent;
    case LINEAGE_AS_ORPHAN: { /* its parent must be above the maker */
        int wanted = l->members.items[i].parent, above = m[maker].parent;
        while (above != wanted && above != OUTSIDE)
            above = m[above].parent;
        return above;
    }
    }
    return OUTSIDE;
}

static void play(const struct lineage *l, const struct lineage_step *step, struct model *m)
{
    int i = step->member, maker = l->members.items[i].maker;

    switch (step->event) {
    case LINEAGE_MAKE:
        assert_false(m[i].made);
        assert_true(maker == OUTSIDE || m[maker].made);
        m[i] = (struct model){true, parent_after(l, m, i), OUTSIDE, OUTSIDE, i};
        if (maker != OUTSIDE) {
            const int *first = l->members.items[i].first;
            if (first[KOBJ_DESCRIPTORS] == l->members.items[maker].first[KOBJ_DESCRIPTORS])
                m[i].table = m[maker].table;
            m[i].session = m[maker].session;
            m[i].group = m[maker].group;
        }
        return;
    case LINEAGE_SESSION:
        assert_int_not_equal(m[i].group, i); /* setsid() refuses a group's leader */
        m[i].session = m[i].group = i;
        return;
    case LINEAGE_GROUP:
        assert_int_not_equal(m[i].session, i);
        m[i].group = i;
        return;
    case LINEAGE_JOIN:
        assert_int_not_equal(m[i].session, i);
        assert_int_equal(m[l->members.items[i].group].session, m[i].session);
        m[i].group = l->members.items[i].group;
        return;
    }
}

/* The saved number of a session or group; 0: the restarter's. */
static uint32_t number(const struct lineage *l, int leader)
{
    return leader == OUTSIDE ? 0 : (uint32_t)l->members.items[leader].pid;
}

static void check_tables(const struct saved *saved, const struct model *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            uint32_t a = saved[i].shares ? saved[i].shares : saved[i].pid;
            uint32_t b = saved[k].shares ? saved[k].shares : saved[k].pid;
            assert_int_equal(m[i].table == m[k].table, a == b);
        }
}

static void check_tree(const struct saved *saved, size_t n, struct lineage_options options,
                       size_t n_helpers)
{
    Crs__Tree *tree = make_tree(saved, n);
    struct model m[MAX] = {0};
    struct lineage l = {0};
    struct crs_error err = {0};

    if (lineage_plan(tree, &options, &l, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(l.members.n, n + n_helpers);
    for (size_t i = 0; i < l.steps.n; i++)
        play(&l, &l.steps.items[i], m);
    for (size_t i = 0; i < n; i++) {
        bool with_root = saved[i].session == saved[0].session;
        uint32_t session = !with_root || options.restore_session ? saved[i].session
                           : options.root_leads_session          ? saved[0].pid
                                                                 : 0;
        bool own_group = !with_root || saved[i].group != saved[0].group ||
                         options.restore_session || options.restore_group;
        uint32_t group = own_group                                                ? saved[i].group
                         : options.root_leads_session || options.root_leads_group ? saved[0].pid
                                                                                  : 0;
        assert_true(m[i].made);
        assert_int_equal(number(&l, m[i].parent), saved[i].parent);
        assert_int_equal(number(&l, m[i].session), session);
        assert_int_equal(number(&l, m[i].group), group);
    }
    check_tables(saved, m, n);
    lineage_clear(&l);
    crs__tree__free_unpacked(tree, NULL);
}

#define CHECK_TREE(n_helpers, options, ...)                                                        \
    do {                                                                                           \
        static const struct saved saved[] = __VA_ARGS__;                                           \
        check_tree(saved, ELEMENTS(saved), (struct lineage_options)options, n_helpers);            \
    } while (0)
#define PLAIN                                                                                      \
    {                                                                                              \
        0                                                                                          \
    }
#define DETACHED                                                                                   \
    {                                                                                              \
        .root_leads_session = true                                                                 \
    }
#define LEADING                                                                                    \
    {                                                                                              \
        .root_leads_group = true                                                                   \
    }

#define IN_GROUP                                                                                   \
    {                                                                                              \
        .restore_group = true                                                                      \
    }
#define IN_SESSION                                                                                 \
    {                                                                                              \
        .restore_session = true                                                                    \
    }

static void one_process(void **state)
{
    CHECK_TREE(0, PLAIN, {{100, 0, 100, 50}});
    CHECK_TREE(0, DETACHED, {{100, 0, 100, 50}});
    CHECK_TREE(0, LEADING, {{100, 0, 100, 50}});
}

static void a_pipeline(void **state)
{
    CHECK_TREE(0, PLAIN,
               {{100, 0, 100, 50}, {101, 100, 101, 50}, {102, 100, 101, 50}, {103, 101, 101, 50}});
    CHECK_TREE(0, LEADING, {{100, 0, 100, 50}, {101, 100, 100, 50}, {102, 100, 102, 50}});
    CHECK_TREE(0, DETACHED, {{100, 0, 100, 50}, {101, 100, 100, 50}, {102, 100, 102, 50}});
}

/* The first process of a pipeline has ended: a helper leads the group. */
static void a_group_without_leader(void **state)
{
    CHECK_TREE(1, PLAIN, {{100, 0, 100, 50}, {102, 100, 101, 50}, {103, 100, 101, 50}});
    CHECK_TREE(1, DETACHED, {{100, 0, 100, 50}, {102, 100, 101, 50}, {103, 100, 101, 50}});
}

/* What the root was in is made again, with helpers where the leaders aren't part of the program. */
static void what_the_root_was_in(void **state)
{
    CHECK_TREE(0, IN_GROUP, {{100, 0, 100, 50}, {101, 100, 101, 50}, {102, 100, 100, 50}});
    CHECK_TREE(1, IN_GROUP, {{100, 0, 99, 50}, {101, 100, 99, 50}, {102, 100, 102, 50}});
    CHECK_TREE(0, IN_SESSION, {{100, 0, 100, 100}, {101, 100, 101, 100}, {102, 100, 100, 100}});
    CHECK_TREE(1, IN_SESSION, {{100, 0, 50, 50}, {101, 100, 50, 50}, {102, 100, 102, 50}});
    CHECK_TREE(2, IN_SESSION, {{100, 0, 99, 50}, {101, 100, 99, 50}, {102, 100, 102, 102}});
    CHECK_TREE(1, IN_SESSION, {{100, 0, 100, 50}, {101, 0, 100, 50}, {102, 101, 101, 50}});
}

/* It moved into another group, and its own lives on. */
static void a_leader_that_left_its_group(void **state)
{
    CHECK_TREE(0, LEADING, {{100, 0, 100, 50}, {101, 100, 100, 50}, {102, 101, 101, 50}});
    CHECK_TREE(0, PLAIN,
               {{100, 0, 100, 50}, {101, 100, 103, 50}, {102, 101, 101, 50}, {103, 100, 103, 50}});
}

static void sessions(void **state)
{
    CHECK_TREE(0, PLAIN, {{100, 0, 100, 50}, {101, 100, 101, 101}, {102, 101, 101, 101}});
    CHECK_TREE(
        0, PLAIN,
        {{100, 0, 100, 50}, {101, 100, 101, 101}, {102, 101, 102, 102}, {103, 102, 103, 102}});
}

/* A child that was forked before its parent's setsid() is in the session of its grandparent. */
static void a_child_from_before(void **state)
{
    CHECK_TREE(0, PLAIN, {{100, 0, 100, 50}, {101, 100, 101, 101}, {102, 101, 100, 50}});
    CHECK_TREE(0, PLAIN,
               {{100, 0, 100, 50},
                {101, 100, 101, 101},
                {102, 101, 102, 102},
                {103, 102, 100, 50},
                {104, 101, 101, 101}});
}

/* Forked twice, with a setsid() between: the session's leader is gone. The daemon's parent is
 * whoever took it in. */
static void a_daemon(void **state)
{
    CHECK_TREE(1, PLAIN, {{100, 0, 100, 50}, {102, 100, 101, 101}, {103, 102, 101, 101}});
    CHECK_TREE(1, PLAIN, {{100, 0, 100, 50}, {102, 0, 101, 101}, {103, 102, 101, 101}});
    CHECK_TREE(1, DETACHED, {{100, 0, 100, 50}, {102, 0, 101, 101}});
}

/* The same, but its parent called setsid() later, and is the orphan's parent. */
static void a_session_below_two_subreapers(void **state)
{
    CHECK_TREE(
        1, PLAIN,
        {{100, 0, 100, 50}, {110, 100, 110, 50}, {120, 100, 105, 105}, {121, 110, 105, 105}});
    CHECK_TREE(
        1, PLAIN,
        {{100, 0, 100, 50}, {102, 100, 102, 102}, {103, 102, 101, 101}, {104, 103, 104, 104}});
}

/* An orphan in the session of a process that lives, elsewhere in the tree. */
/* Its parent was once in that session too, and left it by setsid(). */
static void a_child_of_a_session_next_door(void **state)
{
    CHECK_TREE(
        0, PLAIN,
        {{100, 0, 100, 50}, {101, 100, 101, 101}, {102, 100, 102, 102}, {103, 101, 102, 102}});
}

static void an_orphan_of_a_session_that_lives(void **state)
{
    CHECK_TREE(
        0, PLAIN,
        {{100, 0, 100, 50}, {101, 100, 101, 50}, {102, 101, 102, 102}, {105, 100, 102, 102}});
    CHECK_TREE(0, PLAIN, {{100, 0, 100, 50}, {102, 100, 102, 102}, {105, 100, 105, 102}});
    CHECK_TREE(0, DETACHED, {{100, 0, 100, 50}, {102, 0, 100, 50}, {103, 0, 103, 50}});
}

static void shared_tables(void **state)
{
    /* With a child and a grandchild; with the grandchild only by way of the child. */
    CHECK_TREE(0, PLAIN, {{100, 0, 100, 50}, {101, 100, 100, 50, 100}, {102, 101, 100, 50, 100}});
    CHECK_TREE(0, PLAIN, {{100, 0, 100, 50}, {101, 100, 100, 50}, {102, 101, 100, 50, 101}});
    /* With a sibling, made before or after it. */
    CHECK_TREE(0, PLAIN, {{100, 0, 100, 50}, {101, 100, 100, 50}, {102, 100, 100, 50, 101}});
    CHECK_TREE(0, PLAIN,
               {{100, 0, 100, 50},
                {101, 100, 101, 101},
                {102, 100, 100, 50, 101},
                {103, 101, 101, 101, 101}});
    /* With a nephew: it is the orphan of one that the nephew made. */
    CHECK_TREE(
        0, PLAIN,
        {{100, 0, 100, 50}, {101, 100, 100, 50}, {102, 100, 100, 50}, {103, 102, 100, 50, 101}});
}

static void refuses(const struct saved *saved, size_t n, enum crs_kind kind)
{
    const struct lineage_options options = PLAIN;
    Crs__Tree *tree = make_tree(saved, n);
    struct lineage l = {0};
    struct crs_error err = {0};

    assert_true(lineage_plan(tree, &options, &l, &err) < 0);
    assert_int_equal(err.kind, kind);
    assert_null(l.members.items);
    crs__tree__free_unpacked(tree, NULL);
}

static void what_cannot_have_come_about(void **state)
{
    static const struct saved group_of_another_session[] = {
        {100, 0, 100, 50}, {101, 100, 101, 101}, {102, 101, 102, 101}, {103, 100, 102, 50}};
    static const struct saved unrelated_session[] = {
        {100, 0, 100, 50}, {101, 100, 101, 50}, {102, 100, 102, 102}, {103, 101, 102, 102}};
    static const struct saved table_of_grandparent[] = {
        {100, 0, 100, 50}, {101, 100, 100, 50}, {102, 101, 100, 50, 100}};

    refuses(table_of_grandparent, ELEMENTS(table_of_grandparent), CRS_CANT_RESTART);
    refuses(group_of_another_session, ELEMENTS(group_of_another_session), CRS_DAMAGED);
    refuses(unrelated_session, ELEMENTS(unrelated_session), CRS_CANT_RESTART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_process),
        cmocka_unit_test(a_pipeline),
        cmocka_unit_test(a_group_without_leader),
        cmocka_unit_test(what_the_root_was_in),
        cmocka_unit_test(a_leader_that_left_its_group),
        cmocka_unit_test(sessions),
        cmocka_unit_test(a_child_from_before),
        cmocka_unit_test(a_daemon),
        cmocka_unit_test(a_session_below_two_subreapers),
        cmocka_unit_test(a_child_of_a_session_next_door),
        cmocka_unit_test(an_orphan_of_a_session_that_lives),
        cmocka_unit_test(shared_tables),
        cmocka_unit_test(what_cannot_have_come_about),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
