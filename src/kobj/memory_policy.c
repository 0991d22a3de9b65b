/*
 * memory_policy.c - on which nodes (NUMA) memory is allocated for a thread
 *
 * Of the nodes those are used that exist: the kernel leaves out others, and takes a policy only if
 * one of its nodes is there. Its modes that want none take no mask.
 */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "kobj/attributes.h"
#include "kobj/memory_policy.h"
#include "kobj/questions.h"
#include "memory_policy.pb-c.h"

#define OF_ADDRESS 2 /* MPOL_F_ADDR */

/* Where the arguments of the remote call stand in the scratch memory. */
struct block {
    uint32_t mode, padding;
    uint8_t nodes[POLICY_NODES / 8];
};

static const struct kobj_question policy_of_thread = {.number = SYS_get_mempolicy,
                                                      .args = {0, 0, POLICY_NODES},
                                                      .block_arg = 0,
                                                      .block_size = sizeof(struct block),
                                                      .second_arg = 1,
                                                      .second_from = offsetof(struct block, nodes)};

int memory_policy_get(struct tracee_thread *thread, uint64_t address, struct memory_policy *ret,
                      struct crs_error *err)
{
    struct kobj_question of_address = policy_of_thread;
    struct block block = {0};
    int64_t result;

    of_address.args[3] = address;
    of_address.args[4] = OF_ADDRESS;
    int r = kobj_ask(thread, address ? &of_address : &policy_of_thread, &result, &block, err);
    if (r < 0)
        return r;
    if (kobj_call_failed(result)) /* a kernel without NUMA has no policies */
        block = (struct block){0};
    ret->mode = block.mode;
    memcpy(ret->nodes, block.nodes, sizeof(ret->nodes));
    return 0;
}

size_t memory_policy_size(const struct memory_policy *policy)
{
    size_t n = sizeof(policy->nodes);

    while (n > 0 && !policy->nodes[n - 1])
        n--;
    return n;
}

int memory_policy_load(uint32_t mode, const ProtobufCBinaryData *nodes, struct memory_policy *ret,
                       struct crs_error *err)
{
    *ret = (struct memory_policy){.mode = mode};
    if (nodes->len > sizeof(ret->nodes))
        return crs_fail(err, CRS_DAMAGED, EBADMSG, "a mask of %zu bytes for memory nodes",
                        nodes->len);
    if (nodes->len > 0)
        memcpy(ret->nodes, nodes->data, nodes->len);
    return 0;
}

static void warn(struct kobj_restore *ctx, const char *whose, const char *what,
                 const struct memory_policy *wanted, const struct memory_policy *got)
{
    char words[256] = "";
    size_t n = 0;

    for (unsigned i = 0; i < POLICY_NODES && n < sizeof(words); i++)
        if (wanted->nodes[i / 8] >> (i % 8) & 1 && !(got && got->nodes[i / 8] >> (i % 8) & 1))
            n += snprintf(words + n, sizeof(words) - n, " %u", i);
    KOBJ_WARN(ctx, "%s %s%s", whose, what, words);
}

int memory_policy_set(struct kobj_restore *ctx, struct tracee_thread *thread, uint64_t address,
                      uint64_t size, const struct memory_policy *policy, const char *whose,
                      struct crs_error *err)
{
    /* The kernel counts one less, and takes no nodes for a policy that needs none. */
    uint64_t mask_bits = memory_policy_size(policy) ? POLICY_NODES + 1 : 1;
    const uint64_t of_thread[6] = {policy->mode, 0, mask_bits};
    const uint64_t of_range[6] = {address, size, policy->mode, 0, mask_bits, 0};
    struct memory_policy got = {0};
    int64_t result;
    int r = tracee_call_with_block(thread, &result, err, size ? SYS_mbind : SYS_set_mempolicy,
                                   size ? of_range : of_thread, size ? 3 : 1, policy->nodes, NULL,
                                   sizeof(policy->nodes));

    if (r < 0)
        return r;
    if (kobj_call_failed(result)) {
        warn(ctx, whose, "was bound to memory nodes that are not to be had here:", policy, NULL);
        return 0;
    }
    r = memory_policy_get(thread, size ? address : 0, &got, err);
    if (r == 0 && memcmp(got.nodes, policy->nodes, sizeof(got.nodes)) != 0)
        warn(ctx, whose, "was bound to memory nodes that are not to be had here:", policy, &got);
    return r;
}

/* ---- of threads ---- */

static int dump_memory_policy(struct kobj_dump *ctx, struct tracee_thread *thread,
                              struct bytes *ret_payload, struct crs_error *err)
{
    Crs__MemoryPolicy message = CRS__MEMORY_POLICY__INIT;
    struct memory_policy policy = {0};
    int r = memory_policy_get(thread, 0, &policy, err);

    if (r < 0 || policy.mode == 0)
        return r;
    message.mode = policy.mode;
    message.nodes = (ProtobufCBinaryData){memory_policy_size(&policy), policy.nodes};
    return kobj_pack(&message.base, ret_payload, err);
}

static int restore_memory_policy(struct kobj_restore *ctx, struct tracee_thread *thread,
                                 const Crs__Thread *record, const struct bytes *payload,
                                 struct crs_error *err)
{
    _cleanup_message_ Crs__MemoryPolicy *message = NULL;
    struct memory_policy policy;
    char whose[32];
    int r = kobj_unpack(&crs__memory_policy__descriptor, payload, &message, err);

    if (r == 0)
        r = memory_policy_load(message->mode, &message->nodes, &policy, err);
    if (r < 0)
        return r;
    snprintf(whose, sizeof(whose), "thread %u", record->tid);
    return memory_policy_set(ctx, thread, 0, 0, &policy, whose, err);
}

static int describe_memory_policy(const struct bytes *payload, char *text, size_t size)
{
    static const char *const names[] = {
        "default", "preferred", "bind", "interleave", "local", "preferred", "weighted interleave"};
    _cleanup_message_ Crs__MemoryPolicy *message = NULL;
    int r = kobj_unpack(&crs__memory_policy__descriptor, payload, &message, NULL);

    if (r == 0)
        snprintf(text, size, "%s",
                 (message->mode & 0xff) < ELEMENTS(names) ? names[message->mode & 0xff] : "?");
    return r;
}

const struct kobj_thread_kind kobj_memory_policy = {
    .name = "memory_policy",
    .title = "memory policy (NUMA)",
    .saved = "yes",
    .conditions = "bound to those of its nodes that exist; home nodes can't be read",
    .dump = dump_memory_policy,
    .restore = restore_memory_policy,
    .questions = &policy_of_thread,
    .n_questions = 1,
    .describe = describe_memory_policy,
};
