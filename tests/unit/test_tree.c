/* test_tree.c - which processes belong to a tree, a group, a session: found by both ways */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/tree.h"

/*
 * ROOT has the children A and Z; A leads a group and has the child B, which leads a session and has
 * the child C. Z has ended.
 */
enum { ROOT, A, B, C, Z, N };

struct family {
    pid_t pids[N];
};

static void tell(int fd, int who, pid_t pid)
{
    int letter[2] = {who, pid};

    if (write(fd, letter, sizeof(letter)) != sizeof(letter))
        _exit(1);
}

static _Noreturn void live(int fd, int who)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    tell(fd, who, getpid());
    for (;;)
        pause();
}

static _Noreturn void be_a(int fd)
{
    setpgid(0, 0);
    if (fork() == 0) {
        setsid();
        if (fork() == 0)
            live(fd, C);
        live(fd, B);
    }
    live(fd, A);
}

static _Noreturn void be_root(int fd)
{
    siginfo_t info;

    setsid();
    if (fork() == 0)
        be_a(fd);
    pid_t zombie = fork();
    if (zombie == 0)
        _exit(3);
    if (waitid(P_PID, zombie, &info, WEXITED | WNOWAIT) < 0)
        _exit(1);
    tell(fd, Z, zombie);
    live(fd, ROOT);
}

static int set_up(void **state)
{
    static struct family family;
    int ends[2], letter[2];

    if (pipe(ends) < 0)
        return -1;
    pid_t root = fork();
    if (root == 0) {
        close(ends[0]);
        be_root(ends[1]);
    }
    close(ends[1]);
    for (int i = 0; i < N; i++) {
        if (read(ends[0], letter, sizeof(letter)) != sizeof(letter))
            return -1;
        family.pids[letter[0]] = letter[1];
    }
    close(ends[0]);
    *state = &family;
    return family.pids[ROOT] == root ? 0 : -1;
}

static int tear_down(void **state)
{
    struct family *family = *state;

    for (int i = 0; i < N; i++)
        if (i != Z)
            kill(family->pids[i], SIGKILL);
    return waitpid(family->pids[ROOT], NULL, 0) == family->pids[ROOT] ? 0 : -1;
}

/* Everything that is found, pass by pass, as the freeze does it. */
static void find_all(struct tree *tree, enum tree_how how)
{
    struct crs_error err;
    size_t from = 0;

    for (;;) {
        _cleanup_tree_founds_ struct tree_founds founds = {0};
        assert_int_equal(tree_find_new(tree, how, from, &founds, &err), 0);
        if (founds.array.n == 0 && from == 0)
            break;
        from = founds.array.n > 0 ? tree->members.n : 0;
        for (size_t i = 0; i < founds.array.n; i++) {
            struct tree_member *member = tree_add_member(tree, founds.array.items[i].pid);
            assert_non_null(member);
            member->parent = founds.array.items[i].parent;
        }
    }
}

static size_t place_of(const struct tree *tree, pid_t pid)
{
    const struct tree_member *member = tree_find_member(tree, pid);

    return member ? (size_t)(member - tree->members.items) : SIZE_MAX;
}

/* `wanted` by number, in no order, up to -1; parents are found before their children. */
static void check(const struct family *family, int root, enum crs_scope scope, enum tree_how how,
                  const int *wanted)
{
    struct tree tree = {.root = family->pids[root], .scope = scope};
    size_t n = 0;

    find_all(&tree, how);
    for (; wanted[n] >= 0; n++)
        assert_true(place_of(&tree, family->pids[wanted[n]]) < tree.members.n);
    assert_int_equal(tree.members.n, n);
    for (size_t i = 0; i < tree.members.n; i++) {
        size_t parent = place_of(&tree, tree.members.items[i].parent);
        assert_true(parent == SIZE_MAX || parent < i);
    }
    tree_forget_members(&tree);
}

static void trees(void **state)
{
    const enum tree_how ways[] = {TREE_BY_CHILDREN, TREE_BY_SCAN};
    const struct family *family = *state;

    for (size_t i = 0; i < ELEMENTS(ways); i++) {
        check(family, ROOT, CRS_TREE, ways[i], (int[]){ROOT, A, B, C, Z, -1});
        check(family, A, CRS_TREE, ways[i], (int[]){A, B, C, -1});
        check(family, C, CRS_TREE, ways[i], (int[]){C, -1});
        check(family, A, CRS_ONLY, ways[i], (int[]){A, -1});
    }
}

static void groups_and_sessions(void **state)
{
    const struct family *family = *state;
    struct tree tree = {.scope = CRS_GROUP};

    assert_int_equal(tree_how(&tree), TREE_BY_SCAN);
    check(family, ROOT, CRS_GROUP, TREE_BY_SCAN, (int[]){ROOT, Z, -1});
    check(family, A, CRS_GROUP, TREE_BY_SCAN, (int[]){A, -1});
    check(family, C, CRS_GROUP, TREE_BY_SCAN, (int[]){B, C, -1});
    check(family, A, CRS_SESSION, TREE_BY_SCAN, (int[]){ROOT, A, Z, -1});
    check(family, C, CRS_SESSION, TREE_BY_SCAN, (int[]){B, C, -1});
}

static void nobody(void **state)
{
    _cleanup_tree_founds_ struct tree_founds founds = {0};
    struct tree tree = {.root = 0x7ffffffe};
    struct crs_error err;

    assert_int_equal(tree_find_new(&tree, TREE_BY_SCAN, 0, &founds, &err), -ESRCH);
    assert_int_equal(err.kind, CRS_NOT_FOUND);
    assert_int_equal(tree_freeze(&tree, 0, &err), -ESRCH);
}

/* What belongs to the tool is known, but nothing below it is looked for. */
static void the_tool(void **state)
{
    const struct family *family = *state;
    struct tree tree = {.root = family->pids[ROOT], .tool = family->pids[A]};
    struct tree_founds founds = {0};
    struct crs_error err;

    assert_int_equal(tree_list(&tree, &founds, &err), 0);
    assert_int_equal(founds.array.n, 2); /* the root and the zombie */
    for (size_t i = 0; i < founds.array.n; i++)
        assert_true(founds.array.items[i].pid == family->pids[ROOT] ||
                    founds.array.items[i].pid == family->pids[Z]);
    tree_founds_clear(&founds);
}

/* Held whole, in order, and let go. */
static void held(void **state)
{
    const struct family *family = *state;
    struct tree tree = {.root = family->pids[ROOT], .tool = family->pids[C]};
    struct crs_error err;

    assert_int_equal(tree_freeze(&tree, 0, &err), 0);
    assert_int_equal(tree.members.n, N);
    assert_int_equal(tree.members.items[0].pid, family->pids[ROOT]);
    for (size_t i = 0; i < tree.members.n; i++) {
        const struct tree_member *member = &tree.members.items[i];
        bool ended = member->pid == family->pids[Z] || member->pid == family->pids[C];
        assert_int_equal(member->t == NULL, ended);
        assert_int_equal(member->tool, member->pid == family->pids[C]);
        assert_int_equal(member->exit_signal, SIGCHLD);
    }
    assert_int_equal(tree_find_member(&tree, family->pids[C])->parent, family->pids[B]);
    assert_int_equal(tree_find_member(&tree, family->pids[B])->session, family->pids[B]);
    assert_int_equal(tree_find_member(&tree, family->pids[B])->group, family->pids[B]);
    assert_int_equal(tree_find_member(&tree, family->pids[A])->group, family->pids[A]);
    assert_int_equal(tree_thaw(&tree, false, &err), 0);
    tree_clear(&tree);
}

/* Parents first, also where numbers go down; a ring, which a scan of changing processes may show,
 * ends. */
static void order(void **state)
{
    const struct tree_found items[] = {
        {.pid = 5, .parent = 9},   {.pid = 7, .parent = 5},   {.pid = 9, .parent = 1},
        {.pid = 20, .parent = 21}, {.pid = 21, .parent = 20},
    };
    struct tree_founds founds = {0};

    for (size_t i = 0; i < ELEMENTS(items); i++) {
        struct tree_found *place = ARRAY_ADD(&founds.array);
        assert_non_null(place);
        *place = items[i];
    }
    tree_founds_sort(&founds);
    assert_int_equal(founds.array.items[0].pid, 9);
    assert_int_equal(founds.array.items[1].pid, 5);
    assert_int_equal(founds.array.items[2].pid, 7);
    assert_int_equal(founds.array.items[2].depth, 2);
    tree_founds_clear(&founds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups_and_sessions, set_up, tear_down),
        cmocka_unit_test(nobody),
        cmocka_unit_test_setup_teardown(the_tool, set_up, tear_down),
        cmocka_unit_test_setup_teardown(held, set_up, tear_down),
        cmocka_unit_test(order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
