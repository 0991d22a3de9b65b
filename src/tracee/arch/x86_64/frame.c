/*
 * frame.c - the signal frame that takes a thread back to where it was
 *
 * See internal.h. The layout is the kernel's rt_sigframe: the return address, a ucontext, and the
 * vector state that it points to.
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ucontext.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "tracee/arch/x86_64/internal.h"

#define UC_FP_XSTATE         1
#define UC_SIGCONTEXT_SS     2
#define UC_STRICT_RESTORE_SS 4
#define XSTATE_MAGIC1        0x46505853u
#define XSTATE_MAGIC2        0x46505845u
#define SW_RESERVED_OFFSET   464
#define XSTATE_MIN_SIZE      576

/* Below the stack pointer of the main thread this much stays free for it. */
#define STACK_DISTANCE (48 << 10)

/* What the kernel leaves for software in the legacy area of XSAVE. */
struct sw_reserved {
    uint32_t magic1;
    uint32_t extended_size;
    uint64_t xfeatures;
    uint32_t xstate_size;
    uint32_t padding[7];
};

/* The frame leads back to user code: the kernel's request to make a call again is taken by hand, as
 * the kernel would do. rt_sigreturn forgets a timeout that the kernel keeps, so it is `image`, with
 * the number of the call itself, that goes on; it waits anew then. */
static struct user_regs_struct registers_back(const struct tracee_thread *th)
{
    struct user_regs_struct r = th->image.user;

    if ((int64_t)r.orig_rax >= 0 && is_restart(r.rax)) {
        r.rax = r.orig_rax;
        r.rip -= 2;
    }
    return r;
}

void frame_fill_registers(const struct user_regs_struct *back, struct frame *f)
{
    const struct user_regs_struct r = *back;

    const greg_t values[] = {
        [REG_R8] = r.r8,
        [REG_R9] = r.r9,
        [REG_R10] = r.r10,
        [REG_R11] = r.r11,
        [REG_R12] = r.r12,
        [REG_R13] = r.r13,
        [REG_R14] = r.r14,
        [REG_R15] = r.r15,
        [REG_RDI] = r.rdi,
        [REG_RSI] = r.rsi,
        [REG_RBP] = r.rbp,
        [REG_RBX] = r.rbx,
        [REG_RDX] = r.rdx,
        [REG_RAX] = r.rax,
        [REG_RCX] = r.rcx,
        [REG_RSP] = r.rsp,
        [REG_RIP] = r.rip,
        [REG_EFL] = r.eflags,
        [REG_CSGSFS] =
            (r.cs & 0xffff) | (r.gs & 0xffff) << 16 | (r.fs & 0xffff) << 32 | (r.ss & 0xffff) << 48,
    };
    memcpy(f->uc_mcontext.gregs, values, sizeof(values));
    f->uc_flags |= UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
}

int frame_read_xstate(struct tracee_thread *th, struct crs_error *err)
{
    int r = th->xstate.data ? 0 : arch_get_xstate(th->tid, &th->xstate, err);

    if (r == 0 && th->xstate.size < XSTATE_MIN_SIZE)
        r = crs_fail(err, CRS_FAILED, EOVERFLOW, "a vector state of %zu bytes", th->xstate.size);
    return r;
}

size_t frame_xstate_size(const struct tracee_thread *th)
{
    return th->xstate.size + sizeof(uint32_t);
}

/* The vector state as a signal frame holds it: with marks before and after. The kernel takes
 * nothing but the oldest registers from a frame with a larger one than the thread may have. */
static int fill_xstate(struct tracee_thread *th, uint8_t *area, size_t room, struct crs_error *err)
{
    uint32_t magic2 = XSTATE_MAGIC2;
    struct sw_reserved sw = {.magic1 = XSTATE_MAGIC1};
    int r = frame_read_xstate(th, err);

    if (r < 0)
        return r;
    const size_t size = th->xstate.size;
    if (size + sizeof(magic2) > room)
        return crs_fail(err, CRS_FAILED, EOVERFLOW, "a vector state of %zu bytes", size);
    memcpy(area, th->xstate.data, size);
    memcpy(&sw.xfeatures, th->xstate.data + SW_RESERVED_OFFSET, sizeof(sw.xfeatures));
    sw.xstate_size = size;
    sw.extended_size = size + sizeof(magic2);
    memcpy(area + SW_RESERVED_OFFSET, &sw, sizeof(sw));
    memcpy(area + size, &magic2, sizeof(magic2));
    return 0;
}

int frame_fill(struct tracee_thread *th, const struct user_regs_struct *back, struct frame *f,
               uint8_t *xstate, size_t xstate_room, uint64_t xstate_at, struct crs_error *err)
{
    frame_fill_registers(back, f);
    f->uc_flags |= UC_FP_XSTATE;
    f->uc_mcontext.fpregs = (fpregset_t)xstate_at;
    f->uc_sigmask = th->sigmask;
    return fill_xstate(th, xstate, xstate_room, err);
}

/* The way over the frame *f, which stands 16 bytes behind `area` and will lie that far behind `at`;
 * the stack pointer that leads there. */
static uint64_t set_way(const struct gadgets *g, uint8_t *area, uint64_t at, struct frame *f)
{
    f->return_address = g->sigreturn ? g->sigreturn : g->call;
    f->uc_stack.ss_flags = FRAME_MARK;
    if (g->sigreturn)
        return at + 16 - g->call_pops;
    ((uint64_t *)area)[0] = g->pop_rax;
    ((uint64_t *)area)[1] = SYS_rt_sigreturn;
    return at - g->call_pops;
}

int frame_make(struct tracee_thread *th, struct frame_bytes *ret, uint64_t *ret_sp,
               struct crs_error *err)
{
    const struct arch_calls *c = th->owner->calls;
    uint64_t at = c->frame_area + FRAME_OFFSET;
    uint64_t xstate_at = (at + 16 + (FRAME_XSTATE_OFFSET - FRAME_OFFSET) + 63) & ~63ULL;
    size_t size = xstate_at - at;
    /* 16 bytes before the frame for `pop %rax`'s way. */
    struct frame *f = (struct frame *)(ret->data + 16);

    memset(ret->data, 0, size);
    const struct user_regs_struct back = registers_back(th);
    int r = frame_fill(th, &back, f, ret->data + size, sizeof(ret->data) - size, xstate_at, err);
    if (r < 0)
        return r;
    *ret_sp = set_way(&c->gadgets, ret->data, at, f);
    ret->address = at;
    ret->size = size + frame_xstate_size(th);
    return 0;
}

int frame_write_call(struct tracee_thread *th, size_t offset, const struct remote_call *call,
                     uint64_t *ret_sp, struct crs_error *err)
{
    const struct arch_calls *c = th->owner->calls;
    struct arch_regs back = c->session_regs;
    uint64_t at = c->frame_area + offset;
    _Alignas(16) uint8_t area[16 + sizeof(struct frame)] = {0};
    struct frame *f = (struct frame *)(area + 16);

    calls_set(th, call, &back);
    frame_fill_registers(&back.user, f);
    f->uc_sigmask = ~0ULL; /* no vector state: the next frame has it */
    *ret_sp = set_way(&c->gadgets, area, at, f);
    return tracee_write(th->owner, at, area, sizeof(area), err);
}

uint64_t frame_first_argument(const struct tracee_thread *th, size_t offset)
{
    return th->owner->calls->frame_area + offset + 16 + offsetof(struct frame, uc_mcontext) +
           offsetof(mcontext_t, gregs) + REG_RDI * sizeof(greg_t);
}

/*
 * Is the thread still on its way back over a frame, left alone by a tool that was killed? Its stack
 * pointer is at the frame then, or before it by what is popped on the way.
 */
bool frame_in_use(struct tracee_thread *th)
{
    const struct gadgets *g = &th->owner->calls->gadgets;
    uint64_t pc = arch_program_counter(&th->regs), sp = arch_stack_pointer(&th->regs);
    uint8_t near[FRAME_CHAIN_SIZE + 512 + sizeof(struct frame)];

    bool on_the_way = (pc >= g->call && pc < g->call + 64) ||
                      (g->plain && pc >= g->plain && pc < g->plain + 3) ||
                      (g->sigreturn && pc >= g->sigreturn && pc < g->sigreturn + 10) ||
                      (g->pop_rax && pc >= g->pop_rax && pc < g->pop_rax + 2);
    /* None of our calls waits: who waits at that very instruction is the program's own. */
    if (is_restart(th->regs.user.rax) && (int64_t)th->regs.user.orig_rax >= 0)
        return false;
    bool in_chain = chain_in_use(th);
    size_t size = sizeof(near) - (in_chain ? 0 : FRAME_CHAIN_SIZE);
    if (!(on_the_way || in_chain) || tracee_read(th->owner, sp - 8, near, size, NULL) < 0)
        return false;
    for (size_t at = 0; at + sizeof(struct frame) <= size; at += 8) {
        struct frame f;
        memcpy(&f, near + at, sizeof(f));
        if ((unsigned)f.uc_stack.ss_flags == FRAME_MARK)
            return true;
    }
    return false;
}

/* ---- where it lies ---- */

struct saved_bytes {
    uint64_t address;
    uint8_t data[FRAME_AREA_SIZE];
};

static void restore_bytes(struct tracee *t, void *arg)
{
    struct saved_bytes *saved = arg;

    if (!t->lost) /* a thread still goes back over it */
        tracee_write(t, saved->address, saved->data, sizeof(saved->data), NULL);
    free(saved);
    arch_calls_free(t->calls);
    t->calls = NULL;
    t->scratch = 0;
}

static int save_bytes(struct tracee *t, uint64_t address, struct crs_error *err)
{
    struct saved_bytes *saved = malloc(sizeof(*saved));

    if (!saved)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    saved->address = address;
    int r = tracee_read(t, address, saved->data, sizeof(saved->data), err);
    if (r == 0 && tracee_undo_push(t, restore_bytes, saved) < 0)
        r = crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    if (r < 0)
        free(saved);
    return r;
}

static int find_stack(const char *maps, uint64_t *ret_start, uint64_t *ret_end)
{
    const char *p = strstr(maps, "[stack]\n");

    if (!p)
        return -ENOENT;
    while (p > maps && p[-1] != '\n')
        p--;
    return sscanf(p, "%lx-%lx rw", ret_start, ret_end) == 2 ? 0 : -ENOENT;
}

int frame_find_area(struct tracee *t, const char *maps, uint64_t *ret, struct crs_error *err)
{
    uint64_t start, end, lowest;

    *ret = 0;
    if (find_stack(maps, &start, &end) < 0)
        return 0;
    lowest = end;
    tracee_for_each_thread (t, th) {
        uint64_t sp = arch_stack_pointer(&th->regs);
        if (sp >= start && sp < lowest)
            lowest = sp;
    }
    /* Between the lowest stack pointer and the end of the mapping nothing lives but the red zone;
     * keep clear of it as far as there is room, and leave the guard side alone. */
    if (lowest - start < FRAME_AREA_SIZE + 4096)
        return 0;
    uint64_t at = start;
    /* None of its threads is there: but one of another process may be, which shares its memory and
     * still runs. The far end is the safest. */
    if (lowest != end && lowest - start > FRAME_AREA_SIZE + STACK_DISTANCE)
        at = (lowest - STACK_DISTANCE - FRAME_AREA_SIZE) & ~4095ULL;
    int r = save_bytes(t, at, err);
    if (r < 0)
        return r;
    *ret = at;
    return 0;
}
