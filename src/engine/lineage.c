/*
 * lineage.c - which process of a tree is made by which, and in what order
 *
 * A process is in at most two sessions in its life: the one that it was born into, and its own. So
 * for each process that leads a session it is worked out, children first, which session it must be
 * born into; a child in that session is forked before the setsid(), all others after it. What can't
 * come about like this is an orphan, whose first parent was a process of the session in question:
 * it is made by the session's leader.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/lineage.h"
#include "engine/sharing.h"

#define ANY   (-2) /* a session leader that may be born into any session */
#define UNSET (-3)

struct pid_index {
    pid_t pid;
    int member;
};

/* Working state, by member. */
struct work {
    const Crs__Tree *tree;
    const struct lineage_options *options;
    struct lineage *l;
    struct pid_index *index; /* of the tree's processes, sorted */
    size_t n_index;
    bool sharing, *shared; /* is there anything that processes share, and something of this one? */
    int *birth;            /* the session that it is born into */
    int *before;           /* the session that it must be in before its setsid(); UNSET */
    int *depth;
    bool *early;                          /* forked before its maker's setsid() */
    bool *odd;                            /* its parent can't simply fork it */
    int *first_early, *first_late, *next; /* what each makes, as lists */
    int *group;                           /* while the steps are gone through */
};

static void work_clear(struct work *w)
{
    free(w->index);
    free(w->birth);
    free(w->before);
    free(w->depth);
    free(w->early);
    free(w->odd);
    free(w->first_early);
    free(w->first_late);
    free(w->next);
    free(w->group);
    free(w->shared);
}

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a tree of processes");
}

static struct lineage_member *member(const struct work *w, int i)
{
    return &w->l->members.items[i];
}

/* ---- who is who ---- */

static int compare_pids(const void *a, const void *b)
{
    const struct pid_index *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int find_process(const struct work *w, pid_t pid)
{
    const struct pid_index key = {.pid = pid};
    const struct pid_index *found =
        bsearch(&key, w->index, w->n_index, sizeof(*w->index), compare_pids);

    return found ? found->member : LINEAGE_OUTSIDE;
}

static int find_helper(const struct work *w, pid_t pid)
{
    for (size_t i = w->n_index; i < w->l->members.n; i++)
        if (member(w, i)->pid == pid)
            return i;
    return LINEAGE_OUTSIDE;
}

static int add_helper(struct work *w, pid_t pid, int parent, int session, int *ret,
                      struct crs_error *err)
{
    int i = w->l->members.n;
    struct lineage_member *m = ARRAY_ADD(&w->l->members);

    if (!m)
        return out_of_memory(err);
    for (unsigned what = 0; what < KOBJ_N_SHARED; what++)
        m->first[what] = i;
    m->pid = pid;
    m->parent = m->maker = parent;
    m->session = session == ANY ? i : session;
    m->group = i;
    m->way = parent == LINEAGE_OUTSIDE ? LINEAGE_STARTED : LINEAGE_FORKED;
    *ret = i;
    return 0;
}

static int add_processes(struct work *w, struct crs_error *err)
{
    size_t n = w->tree->n_processes;
    _cleanup_free_ size_t *firsts = sharing_firsts(w->tree);

    w->index = calloc(n, sizeof(*w->index));
    w->shared = calloc(n, sizeof(*w->shared));
    if (!w->index || !firsts || !w->shared)
        return out_of_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct lineage_member *m = ARRAY_ADD(&w->l->members);
        if (!m)
            return out_of_memory(err);
        m->record = w->tree->processes[i];
        m->pid = m->record->pid;
        for (unsigned what = 0; what < KOBJ_N_SHARED; what++) {
            m->first[what] = firsts[i * KOBJ_N_SHARED + what];
            if (m->first[what] != (int)i)
                w->sharing = w->shared[m->first[what]] = true;
        }
        w->index[w->n_index++] = (struct pid_index){m->pid, i};
    }
    qsort(w->index, n, sizeof(*w->index), compare_pids);
    for (size_t i = 0; i < n; i++) {
        struct lineage_member *m = member(w, i);
        m->parent =
            i > 0 && m->record->parent ? find_process(w, m->record->parent) : LINEAGE_OUTSIDE;
        m->maker = m->parent;
        m->way = m->parent == LINEAGE_OUTSIDE ? LINEAGE_STARTED : LINEAGE_FORKED;
    }
    return 0;
}

static int find_session(struct work *w, int i, struct crs_error *err)
{
    const Crs__Process *root = w->tree->processes[0], *p = member(w, i)->record;
    int leader, r = 0;

    if (p->session == root->session && !w->options->restore_session)
        leader = w->options->root_leads_session ? 0 : LINEAGE_OUTSIDE;
    else if (p->session == 0)
        leader = LINEAGE_OUTSIDE;
    else if ((leader = find_process(w, p->session)) < 0 &&
             (leader = find_helper(w, p->session)) < 0)
        r = add_helper(w, p->session, LINEAGE_OUTSIDE, ANY, &leader, err);
    member(w, i)->session = leader;
    return r;
}

/* A process group is part of its session. */
static bool restores_group(const struct work *w)
{
    return w->options->restore_group || w->options->restore_session;
}

static int find_group(struct work *w, int i, struct crs_error *err)
{
    const Crs__Process *root = w->tree->processes[0], *p = member(w, i)->record;
    bool root_leads = w->options->root_leads_session || w->options->root_leads_group;
    int session = member(w, i)->session, leader, r = 0;

    if (session == i)
        leader = i;
    else if (p->session == root->session && p->group == root->group && !restores_group(w))
        leader = root_leads ? 0 : LINEAGE_OUTSIDE;
    else if (p->group == 0)
        leader = LINEAGE_OUTSIDE;
    else if ((leader = find_process(w, p->group)) < 0 && (leader = find_helper(w, p->group)) < 0)
        r = add_helper(w, p->group, i, session, &leader, err);
    if (r == 0 && leader >= 0 && member(w, leader)->session != session)
        r = crs_fail(err, CRS_DAMAGED, EBADMSG,
                     "the snapshot has process %u in a process group of another session", p->pid);
    member(w, i)->group = leader;
    return r;
}

/* ---- births ---- */

/* How process i gets into the session that it is born into. */
static void choose_birth(struct work *w, int i)
{
    struct lineage_member *m = member(w, i);
    int wanted = w->birth[i] = m->session == i ? w->before[i] : m->session;

    if (wanted == UNSET) {
        w->birth[i] = ANY;
        return;
    }
    if (m->parent == LINEAGE_OUTSIDE) {
        w->odd[i] = wanted != LINEAGE_OUTSIDE;
        return;
    }
    if (member(w, m->parent)->session == wanted)
        return;
    if (member(w, m->parent)->session == m->parent &&
        (w->before[m->parent] == UNSET || w->before[m->parent] == wanted)) {
        w->before[m->parent] = wanted;
        w->early[i] = true;
        return;
    }
    w->odd[i] = true;
}

static int depth_of(const struct work *w, int i)
{
    return i < 0 ? -1 : w->depth[i];
}

/* A helper that leads a session is put where all that it makes can get from it to their parents:
 * below the deepest of these. */
static void place_helper(struct work *w, int i)
{
    int leader = w->birth[i], parent = member(w, i)->parent;
    struct lineage_member *helper = leader >= (int)w->n_index ? member(w, leader) : NULL;

    if (!w->odd[i] || !helper || depth_of(w, parent) < depth_of(w, helper->parent))
        return;
    helper->parent = helper->maker = parent;
    helper->way = parent == LINEAGE_OUTSIDE ? LINEAGE_STARTED : LINEAGE_FORKED;
}

static bool is_ancestor(const struct work *w, int ancestor, int i)
{
    for (i = member(w, i)->parent; i >= 0; i = member(w, i)->parent)
        if (i == ancestor)
            return true;
    return ancestor == LINEAGE_OUTSIDE;
}

static int adopt(struct work *w, int i, struct crs_error *err)
{
    struct lineage_member *m = member(w, i);
    int leader = w->birth[i];

    if (!w->odd[i])
        return 0;
    if (leader >= 0 && leader != i && member(w, leader)->parent == m->parent)
        m->way = LINEAGE_AS_SIBLING;
    else if (leader >= 0 && leader != i && is_ancestor(w, m->parent, leader))
        m->way = LINEAGE_AS_ORPHAN;
    else
        return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                        "process %u is in session %u, into which its parent (%u) can't have been "
                        "given a child: that can't be made again",
                        m->record->pid, m->record->session, m->record->parent);
    m->maker = leader;
    return 0;
}

/*
 * What several share comes from one of them, the origin, and each other is made by one that has it
 * already: by its parent, mostly. Where that hasn't got it, its true maker was a process that is
 * its sibling, or that is gone: then it is made by one that has it as a sibling, or as an orphan.
 */
static bool has_same(const struct work *w, enum kobj_shared what, int i, int other)
{
    return other >= 0 && member(w, i)->first[what] == member(w, other)->first[what];
}

/* One that gets it from no other. Helpers and those that have ended share nothing. */
static bool is_origin(const struct work *w, enum kobj_shared what, int i)
{
    return !has_same(w, what, i, member(w, i)->maker);
}

static bool is_made_by_way_of(const struct work *w, int i, int by)
{
    for (; i >= 0; i = member(w, i)->maker)
        if (i == by)
            return true;
    return false;
}

static bool can_make(const struct work *w, int maker, int i, enum lineage_way way)
{
    const struct lineage_member *m = member(w, i), *by = member(w, maker);

    if (is_made_by_way_of(w, maker, i) || (w->birth[i] != ANY && w->birth[i] != by->session))
        return false;
    return way == LINEAGE_AS_SIBLING
               ? by->parent == m->parent && by->record->exit_signal == m->record->exit_signal
               : m->record->exit_signal == SIGCHLD && is_ancestor(w, m->parent, maker);
}

static bool give_maker(struct work *w, enum kobj_shared what, int i)
{
    for (int way = LINEAGE_AS_SIBLING; way <= LINEAGE_AS_ORPHAN; way++)
        for (int by = 0; by < (int)w->n_index; by++) {
            if (by == i || !has_same(w, what, i, by) || !can_make(w, by, i, way))
                continue;
            member(w, i)->maker = by;
            member(w, i)->way = way;
            w->early[i] = false;
            return true;
        }
    return false;
}

/* One of the origins remains: the first, if the others can get it from there. */
static void find_sharing_makers(struct work *w, enum kobj_shared what)
{
    for (int i = w->n_index; i-- > 0;) {
        int first = member(w, i)->first[what];
        bool other = false;
        if (first == i && !w->shared[i])
            continue;
        for (int k = first; k < (int)w->n_index && !other; k++)
            other = k != i && has_same(w, what, i, k) && is_origin(w, what, k);
        if (other && is_origin(w, what, i))
            give_maker(w, what, i);
    }
}

static int check_sharing(const struct work *w, enum kobj_shared what, struct crs_error *err)
{
    for (int i = 0; i < (int)w->n_index; i++) {
        int first = member(w, i)->first[what];
        for (int k = first; k < i; k++)
            if (has_same(w, what, i, k) && is_origin(w, what, i) && is_origin(w, what, k))
                return crs_fail(err, CRS_CANT_RESTART, ENOTSUP,
                                "processes %d and %d share their %s, but neither can have got it "
                                "from the other, as they are related: that can't be made again",
                                member(w, k)->pid, member(w, i)->pid, kobj_shared_words(what));
    }
    return 0;
}

static int find_births(struct work *w, struct crs_error *err)
{
    int n = w->n_index, r = 0;

    for (int i = 0; i < n; i++)
        w->depth[i] = depth_of(w, member(w, i)->parent) + 1;
    for (int i = n; i-- > 0;)
        choose_birth(w, i);
    for (int i = 0; i < n; i++)
        place_helper(w, i);
    for (int i = 0; r == 0 && i < n; i++)
        r = adopt(w, i, err);
    for (unsigned what = 0; r == 0 && w->sharing && what < KOBJ_N_SHARED; what++)
        find_sharing_makers(w, what);
    for (unsigned what = 0; r == 0 && w->sharing && what < KOBJ_N_SHARED; what++)
        r = check_sharing(w, what, err);
    return r;
}

/* ---- steps ---- */

static int add_step(struct work *w, enum lineage_event event, int i, struct crs_error *err)
{
    struct lineage_step *step = ARRAY_ADD(&w->l->steps);

    if (!step)
        return out_of_memory(err);
    *step = (struct lineage_step){event, i};
    return 0;
}

struct stack {
    ARRAY_OF(struct lineage_step) tasks;
};

static void stack_clear(struct stack *s)
{
    free(s->tasks.items);
}

static int push(struct stack *s, enum lineage_event event, int i, struct crs_error *err)
{
    struct lineage_step *task = ARRAY_ADD(&s->tasks);

    if (!task)
        return out_of_memory(err);
    *task = (struct lineage_step){event, i};
    return 0;
}

static int push_list(struct work *w, struct stack *s, int first, struct crs_error *err)
{
    int r = 0;

    for (int i = first; r == 0 && i >= 0; i = w->next[i])
        r = push(s, LINEAGE_MAKE, i, err);
    return r;
}

static void link_makers(struct work *w)
{
    for (int i = 0; i < (int)w->l->members.n; i++) {
        int maker = member(w, i)->maker;
        if (maker < 0)
            continue;
        int *first = w->early[i] ? &w->first_early[maker] : &w->first_late[maker];
        w->next[i] = *first; /* the lists are in descending order, and so is the stack pushed */
        *first = i;
    }
}

/* Make one of those that the restarter starts, and all that come from it. */
static int descend(struct work *w, int start, struct crs_error *err)
{
    _cleanup_(stack_clear) struct stack stack = {0};
    int r = push(&stack, LINEAGE_MAKE, start, err);

    while (r == 0 && stack.tasks.n > 0) {
        struct lineage_step task = stack.tasks.items[--stack.tasks.n];
        struct lineage_member *m = member(w, task.member);
        r = add_step(w, task.event, task.member, err);
        if (task.event == LINEAGE_SESSION) {
            w->group[task.member] = task.member;
            continue;
        }
        w->group[task.member] = m->maker < 0 ? LINEAGE_OUTSIDE : w->group[m->maker];
        if (r == 0)
            r = push_list(w, &stack, w->first_late[task.member], err);
        if (r == 0 && m->session == task.member)
            r = push(&stack, LINEAGE_SESSION, task.member, err);
        if (r == 0)
            r = push_list(w, &stack, w->first_early[task.member], err);
    }
    return r;
}

/* Groups come last: a leader may have left its own group for another one. (For the restarter's it
 * can't: that may have no number here.) */
static int add_groups(struct work *w, struct crs_error *err)
{
    int n = w->l->members.n, r = 0;

    for (int i = 0; r == 0 && i < n; i++) {
        int leader = member(w, i)->group;
        if (leader < 0 || w->group[leader] == leader)
            continue;
        r = add_step(w, LINEAGE_GROUP, leader, err);
        w->group[leader] = leader;
    }
    for (int i = 0; r == 0 && i < n; i++) {
        int leader = member(w, i)->group;
        if (leader >= 0 && w->group[i] != leader)
            r = add_step(w, LINEAGE_JOIN, i, err);
    }
    return r;
}

static int add_steps(struct work *w, struct crs_error *err)
{
    int n = w->l->members.n, r = 0;
    size_t n_made = 0;

    link_makers(w);
    for (int i = 0; r == 0 && i < n; i++)
        if (member(w, i)->way == LINEAGE_STARTED)
            r = descend(w, i, err);
    for (size_t i = 0; r == 0 && i < w->l->steps.n; i++)
        n_made += w->l->steps.items[i].event == LINEAGE_MAKE;
    if (r == 0 && n_made != (size_t)n)
        return crs_fail(err, CRS_DAMAGED, EBADMSG,
                        "the sessions of the snapshot's processes can't have come about");
    return r == 0 ? add_groups(w, err) : r;
}

/* ---- all of it ---- */

static int *new_numbers(size_t n, int value)
{
    int *numbers = malloc((n + 1) * sizeof(*numbers));

    for (size_t i = 0; numbers && i < n; i++)
        numbers[i] = value;
    return numbers;
}

static int make_room(struct work *w, struct crs_error *err)
{
    size_t n = w->l->members.n;

    w->birth = new_numbers(n, ANY);
    w->before = new_numbers(n, UNSET);
    w->depth = new_numbers(n, 0);
    w->early = calloc(n, sizeof(bool));
    w->odd = calloc(n, sizeof(bool));
    w->first_early = new_numbers(n, -1);
    w->first_late = new_numbers(n, -1);
    w->next = new_numbers(n, -1);
    w->group = new_numbers(n, LINEAGE_OUTSIDE);
    return w->birth && w->before && w->depth && w->early && w->odd && w->first_early &&
                   w->first_late && w->next && w->group
               ? 0
               : out_of_memory(err);
}

int lineage_plan(const Crs__Tree *tree, const struct lineage_options *options, struct lineage *ret,
                 struct crs_error *err)
{
    struct lineage lineage = {0};
    _cleanup_(work_clear) struct work w = {.tree = tree, .options = options, .l = &lineage};

    int r = add_processes(&w, err);
    for (size_t i = 0; r == 0 && i < w.n_index; i++)
        r = find_session(&w, i, err);
    for (size_t i = 0; r == 0 && i < w.n_index; i++)
        r = find_group(&w, i, err);
    if (r == 0)
        r = make_room(&w, err);
    if (r == 0)
        r = find_births(&w, err);
    if (r == 0)
        r = add_steps(&w, err);
    if (r < 0) {
        lineage_clear(&lineage);
        return r;
    }
    *ret = lineage;
    return 0;
}

void lineage_clear(struct lineage *lineage)
{
    free(lineage->members.items);
    free(lineage->steps.items);
    *lineage = (struct lineage){0};
}
