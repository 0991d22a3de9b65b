/* interface.c - constants, types, and what each function says to arguments that it can't take
 * languages: c c++ */
#include <limits.h>
#include <stddef.h>

#include "proof.h"

#ifdef __cplusplus
#define HOLDS(what) static_assert(what, #what)
#else
#define HOLDS(what) _Static_assert(what, #what)
#endif

HOLDS(CR_SCOPE_PROC == 0 && CR_SCOPE_PGRP == 1 && CR_SCOPE_SESS == 2 && CR_SCOPE_TREE == 3);
HOLDS(CR_CHECKPOINT_READY == 0 && CR_CHECKPOINT_TEMP_FAILURE == 1);
HOLDS(CR_CHECKPOINT_PERM_FAILURE == 2 && CR_CHECKPOINT_OMIT == 4);
HOLDS(CR_CHECKPOINT_TEMP_FAILURE_CODE(7) == 0x70001);
HOLDS(CR_CHECKPOINT_PERM_FAILURE_CODE(7) == 0x70002);
HOLDS(CR_CHKPT_PROHIBIT_SELF == 0x1 && CR_CHKPT_PTRACED_ALLOW == 0x2);
HOLDS(CR_CHKPT_PTRACED_SKIP == 0x4 && CR_CHKPT_PTRACER_SKIP == 0x8 && CR_CHKPT_ASYNC_ERR == 0x10);
HOLDS(CR_CHKPT_DUMP_EXEC == 0x200 && CR_CHKPT_DUMP_PRIVATE == 0x400);
HOLDS(CR_CHKPT_DUMP_SHARED == 0x800 && CR_CHKPT_DUMP_ALL == 0xe00);
HOLDS(CR_RSTRT_ASYNC_ERR == 0x1 && CR_RSTRT_RESTORE_PID == 0x2);
HOLDS(CR_RSTRT_RESTORE_PGID == 0x4 && CR_RSTRT_RESTORE_SID == 0x8);
HOLDS(CR_MAX_RSTRT_RELOC == 16 && CR_RSTRT_RELOCATE_SIZE(3) == 8 + 3 * 16);
HOLDS(CR_HOLD_READ == -1 && CR_HOLD_NONE == 0 && CR_HOLD_CONT == 1 && CR_HOLD_RSTRT == 2);
HOLDS(CR_HOLD_BOTH == 3 && CR_HOLD_DFLT == 4);
HOLDS(CR_HOLD_SCOPE_THREAD == 0 && CR_HOLD_SCOPE_INIT == 1 && CR_HOLD_SCOPE_UNINIT == 2);
HOLDS(CR_HOOK_CONT_SIGNAL_CONTEXT == 0 && CR_HOOK_CONT_THREAD_CONTEXT == 1);
HOLDS(CR_HOOK_CONT_NO_CALLBACKS == 2 && CR_HOOK_RSTRT_SIGNAL_CONTEXT == 3);
HOLDS(CR_HOOK_RSTRT_THREAD_CONTEXT == 4 && CR_HOOK_RSTRT_NO_CALLBACKS == 5 && CR_NUM_HOOKS == 6);
HOLDS(CR_STATE_IDLE == 0 && CR_STATE_PENDING == 1 && CR_STATE_ACTIVE == 2);
HOLDS(CR_POLL_CHKPT_ERR_PRE == -1 && CR_POLL_CHKPT_ERR_POST == -2 && CR_POLL_CHKPT_ERR_LOG == -3);
HOLDS(CR_POLL_RSTRT_ERR_PRE == -1 && CR_POLL_RSTRT_ERR_POST == -2 && CR_POLL_RSTRT_ERR_LOG == -3);
HOLDS(CR_THREAD_CONTEXT == 0x4000000 && CR_SIGNAL_CONTEXT == 0x2000000);
HOLDS(CR_ID_CALLBACK == -1 && CR_SPINLOCK_INITIALIZER == 0U && CR_MAX_CALLBACKS == 0x1FFFFFF);
HOLDS(CR_CHECKPOINT_ARGS_VERSION == 1 && CR_RESTART_ARGS_VERSION == 1 && CR_SIGNUM == 64);
HOLDS(CR_MIN_ERRCODE == 2353 && CR_ETEMPFAIL == 2354 && CR_EPERMFAIL == 2355);
HOLDS(CR_ENOSUPPORT == 2356 && CR_EVERSION == 2357 && CR_EOMITTED == 2358 && CR_EBADARCH == 2359);
HOLDS(CR_EPTRACED == 2360 && CR_EPTRACER == 2361 && CR_ERSTRTABRT == 2362);
HOLDS(CR_ERESTARTED == 2363 && CR_ENOTCB == 2364 && CR_ENOINIT == 2365 && CR_MAX_ERRCODE == 2366);
HOLDS(sizeof(cr_checkpoint_handle_t) == 8 && sizeof(cr_restart_handle_t) == 8);
HOLDS(sizeof(cr_checkpoint_args_t) == 28 && sizeof(cr_restart_args_t) == 24);
HOLDS(sizeof(struct cr_checkpoint_info) == 32 && sizeof(struct cr_restart_info) == 16);
HOLDS(offsetof(struct cr_checkpoint_info, dest) == 8);
HOLDS(offsetof(struct cr_checkpoint_info, requester) == 16);
HOLDS(offsetof(struct cr_checkpoint_info, target) == 20);
HOLDS(offsetof(struct cr_checkpoint_info, scope) == 24);

static int nothing(void *arg)
{
    return 0;
}

static void nothing_of(cr_hook_event_t event)
{
}

#define FAILS(call, value) CHECK((call) == -1 && errno == (value))

static void before_init(void)
{
    FAILS(cr_register_callback(nothing, NULL, CR_THREAD_CONTEXT), CR_ENOINIT);
    FAILS(cr_replace_callback(CR_THREAD_CONTEXT, nothing, NULL, CR_THREAD_CONTEXT), CR_ENOINIT);
    FAILS(cr_enter_cs(0), CR_ENOINIT);
    FAILS(cr_tryenter_cs(0), CR_ENOINIT);
    FAILS(cr_leave_cs(0), CR_ENOINIT);
    FAILS(cr_status(), CR_ENOINIT);
    FAILS(cr_hold_ctrl(CR_HOLD_SCOPE_THREAD, CR_HOLD_READ), CR_ENOINIT);
    FAILS(cr_inc_persist(), CR_ENOINIT);
    FAILS(cr_dec_persist(), CR_ENOINIT);
    CHECK(cr_register_hook(CR_HOOK_CONT_NO_CALLBACKS, nothing_of) == CR_HOOK_FN_ERROR);
    CHECK(errno == CR_ENOINIT);
}

static void outside_of_callbacks(void)
{
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_READY), -CR_ENOTCB);
    CHECK_IS(cr_checkpoint(CR_CHECKPOINT_OMIT), -CR_ENOTCB);
    FAILS(cr_replace_self(nothing, NULL, CR_THREAD_CONTEXT), CR_ENOTCB);
    FAILS(cr_forward_checkpoint(CR_SCOPE_PROC, getpid()), CR_ENOTCB);
    CHECK(cr_get_checkpoint_info() == NULL);
    CHECK(cr_get_restart_info() == NULL);
}

static void *init_in_thread(void *arg)
{
    before_init();
    CHECK_IS(cr_init(), 0);
    CHECK_IS(cr_status(), CR_STATE_IDLE);
    return NULL;
}

static void init(void)
{
    pthread_t thread;

    CHECK_IS(cr_init(), 0);
    CHECK_IS(cr_init(), 1);
    CHECK_IS(cr_status(), CR_STATE_IDLE);
    CHECK(pthread_create(&thread, NULL, init_in_thread, NULL) == 0);
    pthread_join(thread, NULL);
}

static void callbacks(void)
{
    int both = CR_THREAD_CONTEXT | CR_SIGNAL_CONTEXT;
    int t = cr_register_callback(nothing, NULL, CR_THREAD_CONTEXT);
    int s = cr_register_callback(nothing, NULL, CR_SIGNAL_CONTEXT);

    CHECK(t == CR_THREAD_CONTEXT && s == CR_SIGNAL_CONTEXT);
    FAILS(cr_register_callback(nothing, NULL, 0), EINVAL);
    FAILS(cr_register_callback(nothing, NULL, both), EINVAL);
    FAILS(cr_replace_callback(t, nothing, NULL, CR_SIGNAL_CONTEXT), EINVAL);
    FAILS(cr_replace_callback(s, nothing, NULL, CR_THREAD_CONTEXT), EINVAL);
    FAILS(cr_replace_callback(s + 1, nothing, NULL, CR_SIGNAL_CONTEXT), EINVAL);
    FAILS(cr_replace_callback(-1, nothing, NULL, CR_SIGNAL_CONTEXT), EINVAL);
    CHECK(cr_replace_callback(t, NULL, NULL, CR_THREAD_CONTEXT) == 0);
    CHECK(cr_replace_callback(s, NULL, NULL, CR_SIGNAL_CONTEXT) == 0);
    CHECK_IS(cr_register_callback(nothing, NULL, CR_SIGNAL_CONTEXT), s + 1);
}

static void hooks_and_holds(void)
{
    CHECK(cr_register_hook(CR_HOOK_RSTRT_NO_CALLBACKS, nothing_of) == NULL);
    CHECK(cr_register_hook(CR_HOOK_RSTRT_NO_CALLBACKS, NULL) == nothing_of);
    CHECK(cr_register_hook(CR_NUM_HOOKS, nothing_of) == CR_HOOK_FN_ERROR && errno == EINVAL);
    CHECK_IS(cr_hold_ctrl(CR_HOLD_SCOPE_THREAD, CR_HOLD_READ), CR_HOLD_DFLT);
    CHECK_IS(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_READ), CR_HOLD_BOTH);
    CHECK_IS(cr_hold_ctrl(CR_HOLD_SCOPE_UNINIT, CR_HOLD_CONT), CR_HOLD_BOTH);
    CHECK_IS(cr_hold_ctrl(CR_HOLD_SCOPE_UNINIT, CR_HOLD_BOTH), CR_HOLD_CONT);
    FAILS(cr_hold_ctrl(CR_HOLD_SCOPE_INIT, CR_HOLD_DFLT), EINVAL);
    FAILS(cr_hold_ctrl(CR_HOLD_SCOPE_THREAD, 5), EINVAL);
    FAILS(cr_hold_ctrl(3, CR_HOLD_READ), EINVAL);
}

static void persistence(void)
{
    CHECK_IS(cr_inc_persist(), 0);
    CHECK_IS(cr_inc_persist(), 1);
    CHECK_IS(cr_dec_persist(), 2);
    CHECK_IS(cr_dec_persist(), 1);
    FAILS(cr_dec_persist(), ERANGE);
}

/* The destructor of a key runs as the thread ends. */
static void use_at_the_end(void *value)
{
    CHECK_IS(cr_enter_cs(0), 0);
    CHECK_IS(cr_leave_cs(0), 0);
    CHECK_IS(cr_dec_persist(), 1);
    *(int *)value = 1;
}

static pthread_key_t key;
static int destroyed;

static void *persist_in_thread(void *arg)
{
    CHECK_IS(cr_init(), 0);
    CHECK_IS(cr_inc_persist(), 0);
    CHECK(pthread_setspecific(key, &destroyed) == 0);
    return NULL;
}

static void persistence_of_a_thread(void)
{
    pthread_t thread;

    CHECK(pthread_key_create(&key, use_at_the_end) == 0);
    CHECK(pthread_create(&thread, NULL, persist_in_thread, NULL) == 0);
    pthread_join(thread, NULL);
    CHECK(destroyed);
}

static cr_spinlock_t lock = CR_SPINLOCK_INITIALIZER;
static unsigned n_locked;

static void *lock_often(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        cr_spinlock_lock(&lock);
        n_locked++;
        cr_spinlock_unlock(&lock);
    }
    return NULL;
}

static void spinlocks(void)
{
    pthread_t thread;
    cr_spinlock_t other = 1;

    cr_spinlock_init(&other);
    CHECK(other == 0);
    CHECK(cr_spinlock_trylock(&other) != 0);
    CHECK(other != 0 && cr_spinlock_trylock(&other) == 0);
    cr_spinlock_unlock(&other);
    CHECK(other == 0);
    CHECK(pthread_create(&thread, NULL, lock_often, NULL) == 0);
    lock_often(NULL);
    pthread_join(thread, NULL);
    CHECK_IS(n_locked, 20000);
}

static void sections(void)
{
    FAILS(cr_leave_cs(0), EINVAL);
    CHECK_IS(cr_enter_cs(0), 0);
    CHECK_IS(cr_tryenter_cs(0), 0);
    CHECK_IS(cr_leave_cs(0), 0);
    CHECK_IS(cr_leave_cs(0), 0);
    FAILS(cr_leave_cs(0), EINVAL);
}

static void words(void)
{
    CHECK(strcmp(cr_strerror(ENOENT), strerror(ENOENT)) == 0);
    for (int code = CR_MIN_ERRCODE + 1; code < CR_MAX_ERRCODE; code++) {
        CHECK(strstr(cr_strerror(code), "nknown") == NULL);
        for (int other = CR_MIN_ERRCODE + 1; other < code; other++)
            CHECK(strcmp(cr_strerror(code), cr_strerror(other)) != 0);
    }
}

/* ---- requests with what they can't take ---- */

static void defaults(void)
{
    cr_checkpoint_args_t args;
    cr_restart_args_t restart;

    CHECK(cr_initialize_checkpoint_args_t(&args) == 0);
    CHECK(args.cr_version == CR_CHECKPOINT_ARGS_VERSION && args.cr_target == 0);
    CHECK((int)args.cr_scope == -1 && args.cr_fd == -1 && args.cr_signal == 0);
    CHECK(args.cr_timeout == 0 && args.cr_flags == 0);
    FAILS(cri_init_checkpoint_args_t(77, &args), EINVAL);
    CHECK(cr_initialize_restart_args_t(&restart) == 0);
    CHECK(restart.cr_fd == -1 && restart.cr_signal == 0 && restart.cr_relocate == NULL);
    CHECK(restart.cr_flags == CR_RSTRT_RESTORE_PID);
    FAILS(cri_init_restart_args_t(77, &restart), EINVAL);
    FAILS(cr_initialize_checkpoint_args_t(NULL), EFAULT);
    FAILS(cr_initialize_restart_args_t(NULL), EFAULT);
}

static void fields(void)
{
    int null_fd = open_nowhere(), reading = open("/dev/null", O_RDONLY);
    cr_checkpoint_args_t args;

    fill(&args, (cr_scope_t)-1, 0, null_fd);
    CHECK_IS(request(&args), EINVAL);
    fill(&args, (cr_scope_t)4, 0, null_fd);
    CHECK_IS(request(&args), EINVAL);
    fill(&args, CR_SCOPE_PROC, -5, null_fd);
    CHECK_IS(request(&args), EINVAL);
    fill(&args, CR_SCOPE_PROC, 0, null_fd);
    args.cr_signal = 65;
    CHECK_IS(request(&args), EINVAL);
    fill(&args, CR_SCOPE_PROC, 0, null_fd);
    args.cr_version = 77;
    CHECK_IS(request(&args), EINVAL);
    fill(&args, CR_SCOPE_PROC, 0, null_fd);
    args.cr_flags = 0x80000000u;
    CHECK_IS(request(&args), EINVAL);
    fill(&args, CR_SCOPE_PROC, 0, -1);
    CHECK_IS(request(&args), EBADF);
    fill(&args, CR_SCOPE_PROC, 0, 1000);
    CHECK_IS(request(&args), EBADF);
    fill(&args, CR_SCOPE_PROC, 0, reading);
    CHECK_IS(request(&args), EBADF);
    close(null_fd);
    close(reading);
}

static void files(void)
{
    int fd = create("one");
    cr_checkpoint_args_t args;

    CHECK(link("one", "two") == 0);
    fill(&args, CR_SCOPE_PROC, 0, fd);
    CHECK_IS(request(&args), EMLINK);
    CHECK(unlink("one") == 0 && unlink("two") == 0);
    CHECK_IS(request(&args), EINVAL);
    close(fd);
}

static void handles(void)
{
    cr_checkpoint_handle_t handle = 12345, copy;
    struct timeval bad = {0, 1000000};
    cr_checkpoint_args_t args;

    FAILS(cr_wait_checkpoint(&handle, NULL), EINVAL);
    FAILS(cr_log_checkpoint(&handle, 0, NULL), EINVAL);
    FAILS(cr_reap_checkpoint(&handle), EINVAL);
    CHECK(cr_poll_checkpoint(&handle, NULL) == CR_POLL_CHKPT_ERR_PRE && errno == EINVAL);
    FAILS(cr_wait_checkpoint(NULL, NULL), EFAULT);
    fill(&args, CR_SCOPE_PROC, 0, open_nowhere());
    FAILS(cr_request_checkpoint(&args, NULL), EFAULT);
    FAILS(cr_request_checkpoint(NULL, &handle), EFAULT);
    CHECK(cr_request_checkpoint(&args, &handle) == 0);
    close(args.cr_fd); /* it isn't needed any more */
    FAILS(cr_wait_checkpoint(&handle, &bad), EINVAL);
    copy = handle;
    CHECK_IS(finish(&handle), 0);
    FAILS(cr_reap_checkpoint(&copy), EINVAL);
    CHECK(cr_poll_checkpoint(&copy, NULL) == CR_POLL_CHKPT_ERR_PRE && errno == EINVAL);
}

int main(void)
{
    before_init();
    outside_of_callbacks();
    CHECK_IS(checkpoint(CR_SCOPE_PROC, 0), 0); /* a request needs no cr_init() */
    init();
    callbacks();
    outside_of_callbacks();
    hooks_and_holds();
    persistence();
    persistence_of_a_thread();
    spinlocks();
    sections();
    words();
    defaults();
    fields();
    files();
    handles();
    CHECK(cr_link_me == 1);
    return 0;
}
