/* forward.c - a callback asks for more processes */
#include <string.h>

#include "libcr.h"
#include "requests/request.h"

/* Of the process's own view. */
static int find_root(struct request *q, const struct member *m, const struct cooperation *block,
                     struct tree_root *ret)
{
    pid_t target = block->forward_target, requester = q->requester;

    if (target > 0)
        target = targets_outer_pid(m->pid, target);
    if (block->forward_target > 0 && target <= 0)
        return request_fail(q, ESRCH,
                            "process %d forwards the request to a process %d that isn't "
                            "there",
                            m->pid, block->forward_target);
    q->requester = m->pid; /* whose group, session or self is meant */
    int r = targets_root(q, block->forward_scope, target, ret);
    q->requester = requester;
    return r;
}

/* All that is in the request already is passed over. */
static int take(struct request *q, const struct tree_root *root)
{
    ARRAY_OF(pid_t) known = {0};
    size_t n = 0, n_known = q->members.n;
    struct tree_choice choice = {.roots = root, .n_roots = 1};
    int r = targets_survey(q, &choice, &n);

    if (r < 0 || n == 0)
        return r < 0 ? r
                     : request_fail(q, ESRCH, "the request was forwarded to nobody who is there");
    for (size_t i = 0; i < q->omitted.n + n_known; i++) {
        pid_t *place = ARRAY_ADD(&known);
        if (!place) {
            free(known.items);
            return request_fail(q, ENOMEM, "out of memory");
        }
        *place = i < n_known ? q->members.items[i].pid : q->omitted.items[i - n_known];
    }
    choice.omitted = known.items;
    choice.n_omitted = known.n;
    r = phases_take(q, &choice);
    free(known.items);
    /* Where only those are there that are known, nobody was left to be held. */
    return r == -ESRCH && q->members.n == n_known ? 0 : r;
}

static int add_root(struct request *q, const struct tree_root *root)
{
    struct tree_root *place = ARRAY_ADD(&q->roots);

    if (!place)
        return request_fail(q, ENOMEM, "out of memory");
    *place = *root;
    return 0;
}

int forward_answer(struct request *q, struct member *m)
{
    _cleanup_(cleanup_tracee) struct tracee *t = NULL;
    struct crs_error error = {0};
    struct cooperation block;
    struct tree_root root;
    pid_t pid = m->pid;

    if (member_read(m, &block) < 0)
        return 0;
    int result = find_root(q, m, &block, &root);
    if (result == 0)
        result = take(q, &root);
    if (result == 0)
        result = add_root(q, &root);
    m = member_find(q, pid); /* there may be more of them now */
    int r = member_hold(q, m, &t);
    if (r < 0)
        return r == -ESRCH ? 0 : r;
    r = MEMBER_PUT(t, m, forward_result, -result, &error);
    if (r == 0)
        r = MEMBER_PUT(t, m, forward, COOPERATION_FORWARD_ANSWERED, &error);
    return r < 0 ? request_fail_with(q, request_code(r, &error), &error) : 0;
}
