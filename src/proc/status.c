/* status.c - /proc/PID/status: text in, struct out */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

enum form {
    TEXT,
    LETTER,
    OCTAL,
    PID,
    LAST_PID,
    FOUR_IDS,
    GROUPS,
    COUNT,
    HEX,
    FLAG,
    FEATURES,
    STANDARD
};

static const struct field {
    const char *name;
    enum form form;
    size_t offset;
} fields[] = {
    {"Name", TEXT, offsetof(struct proc_status, name)},
    {"State", LETTER, offsetof(struct proc_status, state)},
    {"Umask", OCTAL, offsetof(struct proc_status, umask)},
    {"Tgid", PID, offsetof(struct proc_status, tgid)},
    {"Pid", PID, offsetof(struct proc_status, pid)},
    {"PPid", PID, offsetof(struct proc_status, parent)},
    {"TracerPid", PID, offsetof(struct proc_status, tracer)},
    {"NStgid", LAST_PID, offsetof(struct proc_status, inner_tgid)},
    {"NSpid", LAST_PID, offsetof(struct proc_status, inner_pid)},
    {"NSpgid", LAST_PID, offsetof(struct proc_status, inner_pgid)},
    {"NSsid", LAST_PID, offsetof(struct proc_status, inner_sid)},
    {"Uid", FOUR_IDS, offsetof(struct proc_status, uid)},
    {"Gid", FOUR_IDS, offsetof(struct proc_status, gid)},
    {"Groups", GROUPS, 0},
    {"Threads", COUNT, offsetof(struct proc_status, threads)},
    {"SigPnd", HEX, offsetof(struct proc_status, signals_pending)},
    {"ShdPnd", HEX, offsetof(struct proc_status, shared_pending)},
    {"SigBlk", HEX, offsetof(struct proc_status, blocked)},
    {"SigIgn", HEX, offsetof(struct proc_status, ignored)},
    {"SigCgt", HEX, offsetof(struct proc_status, caught)},
    {"CapInh", HEX, offsetof(struct proc_status, cap_inheritable)},
    {"CapPrm", HEX, offsetof(struct proc_status, cap_permitted)},
    {"CapEff", HEX, offsetof(struct proc_status, cap_effective)},
    {"CapBnd", HEX, offsetof(struct proc_status, cap_bounding)},
    {"CapAmb", HEX, offsetof(struct proc_status, cap_ambient)},
    {"NoNewPrivs", FLAG, offsetof(struct proc_status, no_new_privs)},
    {"Seccomp", COUNT, offsetof(struct proc_status, seccomp)},
    {"Speculation_Store_Bypass", STANDARD, offsetof(struct proc_status, store_bypass_standard)},
    {"SpeculationIndirectBranch", STANDARD, offsetof(struct proc_status, indirect_branch_standard)},
    {"x86_Thread_features", FEATURES, offsetof(struct proc_status, shadow_stack)},
};

static int parse_groups(const char *value, struct proc_status *status)
{
    size_t room = 0;
    char *end;

    for (;; value = end) {
        unsigned long group = strtoul(value, &end, 10);
        if (end == value)
            return 0;
        if (status->n_groups == room) {
            room = room ? room * 2 : 32;
            uint32_t *more = reallocarray(status->groups, room, sizeof(*more));
            if (!more)
                return -ENOMEM;
            status->groups = more;
        }
        status->groups[status->n_groups++] = group;
    }
}

static int parse_four_ids(const char *value, uint32_t ids[4])
{
    char *end;

    for (int i = 0; i < 4; i++, value = end) {
        ids[i] = strtoul(value, &end, 10);
        if (end == value)
            return -EINVAL;
    }
    return 0;
}

/* "NSpid: 812 5": as seen from each namespace, the innermost last. */
static pid_t parse_last_pid(const char *value)
{
    pid_t pid = 0;
    char *end;

    for (;; value = end) {
        long n = strtol(value, &end, 10);
        if (end == value)
            return pid;
        pid = n;
    }
}

static int parse_field(const struct field *field, const char *value, struct proc_status *status)
{
    void *place = (char *)status + field->offset;

    switch (field->form) {
    case TEXT:
        snprintf(place, sizeof(status->name), "%s", value);
        return 0;
    case LETTER:
        *(char *)place = *value;
        return 0;
    case OCTAL:
        *(uint32_t *)place = strtoul(value, NULL, 8);
        status->has_umask = true;
        return 0;
    case PID:
        *(pid_t *)place = strtol(value, NULL, 10);
        return 0;
    case LAST_PID:
        *(pid_t *)place = parse_last_pid(value);
        return 0;
    case FOUR_IDS:
        return parse_four_ids(value, place);
    case GROUPS:
        return parse_groups(value, status);
    case COUNT:
        *(unsigned *)place = strtoul(value, NULL, 10);
        return 0;
    case HEX:
        *(uint64_t *)place = strtoull(value, NULL, 16);
        return 0;
    case FLAG:
        *(bool *)place = *value == '1';
        return 0;
    case FEATURES:
        *(bool *)place = strstr(value, "shstk") != NULL;
        return 0;
    case STANDARD:
        *(bool *)place = strcmp(value, "thread vulnerable") == 0 || /* of a store bypass */
                         strcmp(value, "conditional enabled") == 0; /* of an indirect branch */
        return 0;
    }
    return 0;
}

/* Most fields come in the order of the table: *next is where the next one is looked for first. */
static int parse_line(char *line, size_t *next, struct proc_status *status)
{
    const size_t n = sizeof(fields) / sizeof(fields[0]);
    char *value = strchr(line, ':');

    if (!value)
        return -EINVAL;
    *value++ = 0;
    value += strspn(value, " \t");
    for (size_t i = 0; i < n; i++) {
        size_t place = (*next + i) % n;
        if (*line != *fields[place].name || strcmp(line, fields[place].name) != 0)
            continue;
        *next = place + 1;
        return parse_field(&fields[place], value, status);
    }
    return 0;
}

int proc_status_parse(const char *text, struct proc_status *ret)
{
    struct proc_status status = {0};
    char *copy = strdup(text), *next = copy, *line;
    int r = copy ? 0 : -ENOMEM;
    size_t place = 0;

    while (r == 0 && (line = strsep(&next, "\n")))
        if (*line)
            r = parse_line(line, &place, &status);
    free(copy);
    if (r == 0 && (status.pid <= 0 || status.tgid <= 0))
        r = -EINVAL;
    if (r < 0) {
        proc_status_clear(&status);
        return r;
    }
    if (!status.inner_pid) /* kernels without PID namespaces don't show them */
        status.inner_pid = status.pid;
    if (!status.inner_tgid)
        status.inner_tgid = status.tgid;
    *ret = status;
    return 0;
}

int proc_status_copy(const struct proc_status *status, struct proc_status *ret)
{
    uint32_t *groups = NULL;

    if (status->n_groups > 0) {
        groups = reallocarray(NULL, status->n_groups, sizeof(*groups));
        if (!groups)
            return -ENOMEM;
        memcpy(groups, status->groups, status->n_groups * sizeof(*groups));
    }
    *ret = *status;
    ret->groups = groups;
    return 0;
}

void proc_status_clear(struct proc_status *status)
{
    free(status->groups);
    *status = (struct proc_status){0};
}
