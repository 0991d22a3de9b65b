/*
 * credentials.c - users, groups and capabilities
 *
 * A program is brought back by the user that ran it: users are checked, not changed. Capabilities
 * and groups that the restarted program has too many of are given up; what can't be given is told.
 */
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "credentials.pb-c.h"
#include "kobj/attributes.h"

static const char *const capability_names[] = {
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
};

/* ---- the checkpoint ---- */

static bool is_same(const struct proc_status *a, const struct proc_status *b)
{
    return memcmp(a->uid, b->uid, sizeof(a->uid)) == 0 &&
           memcmp(a->gid, b->gid, sizeof(a->gid)) == 0 && a->n_groups == b->n_groups &&
           (a->n_groups == 0 ||
            memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)) == 0) &&
           a->cap_inheritable == b->cap_inheritable && a->cap_permitted == b->cap_permitted &&
           a->cap_effective == b->cap_effective && a->cap_bounding == b->cap_bounding &&
           a->cap_ambient == b->cap_ambient;
}

static int check_threads(struct tracee *t, const struct proc_status *first, struct crs_error *err)
{
    tracee_for_each_thread (t, thread) {
        _cleanup_proc_status_ struct proc_status status = {0};
        int r = kobj_read_status(thread, &status, err);
        if (r < 0)
            return r;
        if (!is_same(first, &status))
            return crs_fail(err, CRS_CANT_CHECKPOINT, ENOTSUP,
                            "thread %d of process %d has other users, groups or capabilities than "
                            "the rest of the process: that can't be saved",
                            thread->tid, t->pid);
    }
    return 0;
}

static int dump_credentials(struct kobj_dump *ctx, struct bytes *ret_payload, struct crs_error *err)
{
    _cleanup_proc_status_ struct proc_status status = {0};
    Crs__Credentials message = CRS__CREDENTIALS__INIT;
    int r = kobj_read_status(tracee_main(ctx->t), &status, err);

    if (r == 0)
        r = check_threads(ctx->t, &status, err);
    if (r < 0)
        return r;
    message.uids = status.uid;
    message.gids = status.gid;
    message.n_uids = message.n_gids = 4;
    message.groups = status.groups;
    message.n_groups = status.n_groups;
    message.inheritable = status.cap_inheritable;
    message.permitted = status.cap_permitted;
    message.effective = status.cap_effective;
    message.bounding = status.cap_bounding;
    message.ambient = status.cap_ambient;
    return kobj_pack(&message.base, ret_payload, err);
}

/* ---- before the restart ---- */

static void user_words(uint32_t uid, char text[80])
{
    const struct passwd *user = getpwuid(uid);

    snprintf(text, 80, "%s%s%u%s", user ? user->pw_name : "", user ? " (" : "", uid,
             user ? ")" : "");
}

static void group_words(uint32_t gid, char text[80])
{
    const struct group *group = getgrgid(gid);

    snprintf(text, 80, "%s%s%u%s", group ? group->gr_name : "", group ? " (" : "", gid,
             group ? ")" : "");
}

static int check_users(const Crs__Credentials *saved, struct crs_error *err)
{
    char theirs[80], ours[80];
    uid_t u[4];
    gid_t g[4];

    getresuid(&u[0], &u[1], &u[2]);
    getresgid(&g[0], &g[1], &g[2]);
    u[3] = setfsuid(-1); /* an impossible value: nothing is set, the present one is told */
    g[3] = setfsgid(-1);
    for (int i = 0; i < 4; i++) {
        if (saved->uids[i] != u[i]) {
            user_words(saved->uids[i], theirs);
            user_words(u[i], ours);
            return crs_fail(err, CRS_CANT_RESTART, EPERM,
                            "the program ran as user %s, this is user %s: restart it as that user",
                            theirs, ours);
        }
        if (saved->gids[i] != g[i]) {
            group_words(saved->gids[i], theirs);
            group_words(g[i], ours);
            return crs_fail(err, CRS_CANT_RESTART, EPERM,
                            "the program ran with group %s, this has group %s: restart it with "
                            "that group (see newgrp(1))",
                            theirs, ours);
        }
    }
    return 0;
}

static int check_credentials(struct kobj_restore *ctx, const Crs__Process *process,
                             const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Credentials *message = NULL;
    int r = kobj_unpack(&crs__credentials__descriptor, payload, &message, err);

    if (r < 0)
        return r;
    if (message->n_uids != 4 || message->n_gids != 4)
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "the users of process %u are not four",
                        process->pid);
    return check_users(message, err);
}

/* ---- the restart ---- */

static bool has_group(const uint32_t *groups, size_t n, uint32_t group)
{
    for (size_t i = 0; i < n; i++)
        if (groups[i] == group)
            return true;
    return false;
}

/* In a user namespace, groups from outside show as the overflow ID: they are there, unnamed. */
static size_t count_unnamed(const struct proc_status *status)
{
    _cleanup_bytes_ struct bytes text = {0};
    size_t n = 0;

    if (read_file(-1, "/proc/sys/kernel/overflowgid", 64, &text) < 0)
        return 0;
    uint32_t overflow = strtoul((const char *)text.data, NULL, 10);
    for (size_t i = 0; i < status->n_groups; i++)
        n += status->groups[i] == overflow;
    return n;
}

/* Only a group that is missing takes rights from the program. */
static void warn_of_groups(struct kobj_restore *ctx, const Crs__Credentials *saved,
                           const struct proc_status *status)
{
    size_t unnamed = count_unnamed(status);
    char words[80];

    for (size_t i = 0; i < saved->n_groups; i++) {
        if (has_group(status->groups, status->n_groups, saved->groups[i]) ||
            has_group(status->gid, 4, saved->groups[i]))
            continue;
        if (unnamed > 0) {
            unnamed--;
            continue;
        }
        group_words(saved->groups[i], words);
        KOBJ_WARN(ctx,
                  "the program was in group %s and is not any more: files that only this group "
                  "may use are closed to it",
                  words);
    }
}

static bool is_same_groups(const Crs__Credentials *saved, const struct proc_status *status)
{
    return saved->n_groups == status->n_groups &&
           (saved->n_groups == 0 ||
            memcmp(saved->groups, status->groups, saved->n_groups * sizeof(*saved->groups)) == 0);
}

static int restore_groups(struct tracee_thread *thread, const Crs__Credentials *saved,
                          const struct proc_status *status, bool *ret_failed, struct crs_error *err)
{
    int64_t result = -E2BIG;
    int r = 0;

    if (is_same_groups(saved, status))
        return 0;
    if (saved->n_groups * sizeof(uint32_t) <= TRACEE_SCRATCH_SIZE)
        r = tracee_call_with_block(
            thread, &result, err, SYS_setgroups, (uint64_t[6]){saved->n_groups}, 1,
            saved->n_groups ? saved->groups : NULL, NULL, saved->n_groups * sizeof(uint32_t));
    *ret_failed |= kobj_call_failed(result);
    return r;
}

static int drop_bounding(struct tracee_thread *thread, uint64_t drop, struct crs_error *err)
{
    int64_t result;

    for (uint64_t cap = 0; cap < 64; cap++) {
        if (!(drop >> cap & 1))
            continue;
        int r = REMOTE(thread, &result, err, SYS_prctl, PR_CAPBSET_DROP, cap);
        if (r < 0)
            return r;
        if (kobj_call_failed(result))
            return 0; /* who may not drop them has none to lose but by a set-user-ID program */
    }
    return 0;
}

static int set_capabilities(struct tracee_thread *thread, uint64_t permitted, uint64_t effective,
                            uint64_t inheritable, struct crs_error *err)
{
    struct {
        struct __user_cap_header_struct header;
        struct __user_cap_data_struct data[2];
    } block = {.header = {_LINUX_CAPABILITY_VERSION_3, 0}};
    struct tracee *t = thread->owner;
    int r = kobj_need_scratch(thread, err);

    for (int i = 0; i < 2; i++)
        block.data[i] = (struct __user_cap_data_struct){
            effective >> (32 * i), permitted >> (32 * i), inheritable >> (32 * i)};
    if (r == 0)
        r = tracee_write(t, t->scratch, &block, sizeof(block), err);
    if (r == 0)
        r = REMOTE_CHECKED(thread, NULL, err, CRS_CANT_RESTART, "set the capabilities", SYS_capset,
                           t->scratch, t->scratch + offsetof(__typeof__(block), data));
    return r;
}

static int restore_ambient(struct tracee_thread *thread, uint64_t wanted, uint64_t current,
                           struct crs_error *err)
{
    int64_t result;
    int r = 0;

    if (wanted == current)
        return 0;
    r = REMOTE(thread, &result, err, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
    for (uint64_t cap = 0; r == 0 && cap < 64; cap++)
        if (wanted >> cap & 1)
            r = REMOTE(thread, &result, err, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
    return r;
}

static int restore_capabilities(struct tracee_thread *thread, const Crs__Credentials *saved,
                                const struct proc_status *status, struct crs_error *err)
{
    uint64_t permitted = saved->permitted & status->cap_permitted;
    uint64_t effective = saved->effective & permitted;
    uint64_t inheritable = saved->inheritable & (status->cap_inheritable | status->cap_permitted);
    uint64_t ambient = saved->ambient & permitted & inheritable;
    int r = drop_bounding(thread, status->cap_bounding & ~saved->bounding, err);

    if (r == 0 && (permitted != status->cap_permitted || effective != status->cap_effective ||
                   inheritable != status->cap_inheritable))
        r = set_capabilities(thread, permitted, effective, inheritable, err);
    if (r == 0) /* the kernel lowers it together with the others */
        r = restore_ambient(thread, ambient, status->cap_ambient & permitted & inheritable, err);
    return r;
}

static void warn_of_capabilities(struct kobj_restore *ctx, uint64_t missing)
{
    char words[512] = "";
    size_t n = 0;

    for (unsigned cap = 0; cap < 64 && n < sizeof(words); cap++)
        if (missing >> cap & 1)
            n += snprintf(words + n, sizeof(words) - n, " %s",
                          cap < ELEMENTS(capability_names) ? capability_names[cap] : "unknown");
    if (n > 0)
        KOBJ_WARN(ctx, "the program had capabilities that it can't be given here:%s", words);
}

/* Last, since what comes before may need what is given up here. All threads are copies of the first
 * one: what it has, the others have. */
static int finish_credentials(struct kobj_restore *ctx, const Crs__Process *process,
                              const struct bytes *payload, struct crs_error *err)
{
    _cleanup_message_ Crs__Credentials *saved = NULL;
    _cleanup_proc_status_ struct proc_status status = {0};
    bool groups_failed = false, first = true;
    int r = kobj_unpack(&crs__credentials__descriptor, payload, &saved, err);

    if (r == 0)
        r = kobj_read_status(tracee_main(ctx->t), &status, err);
    if (r < 0)
        return r;
    tracee_for_each_thread (ctx->t, thread) {
        if (r == 0)
            r = restore_groups(thread, saved, &status, &groups_failed, err);
        if (r == 0)
            r = restore_capabilities(thread, saved, &status, err);
        if (r < 0)
            return r;
        if (first && groups_failed)
            warn_of_groups(ctx, saved, &status);
        if (first)
            warn_of_capabilities(ctx, saved->permitted & ~status.cap_permitted);
        first = false;
    }
    return 0;
}

static int describe_credentials(const struct bytes *payload, char *text, size_t size)
{
    _cleanup_message_ Crs__Credentials *message = NULL;
    int r = kobj_unpack(&crs__credentials__descriptor, payload, &message, NULL);

    if (r == 0 && message->n_uids == 4 && message->n_gids == 4)
        snprintf(text, size, "user %u, group %u%s", message->uids[1], message->gids[1],
                 message->permitted ? ", with capabilities" : "");
    return r;
}

const struct kobj_process_kind kobj_credentials = {
    .name = "credentials",
    .title = "users, groups and capabilities",
    .saved = "with conditions",
    .conditions = "restarted by the same user with the same group; all threads have the same",
    .privilege = "CAP_SETGID to change supplementary groups; capabilities only as far as the "
                 "restarter has them",
    .dump = dump_credentials,
    .check = check_credentials,
    .finish = finish_credentials,
    .describe = describe_credentials,
};
