/* deprecated.c - cr_request(), cr_request_file() and cr_request_fd() */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "proof.h"

static int tell(void *arg)
{
    note('c');
    return cr_checkpoint(CR_CHECKPOINT_READY) != 0;
}

static void expect_context(const char *name)
{
    struct stat st;

    CHECK(stat(name, &st) == 0 && st.st_size > 4096 && (st.st_mode & 07777) == 0600);
    CHECK(unlink(name) == 0);
    CHECK_EVENTS("c");
}

int main(void)
{
    char name[40];
    int fd;

    CHECK(cr_init() >= 0);
    CHECK(cr_register_callback(tell, NULL, CR_THREAD_CONTEXT) >= 0);
    umask(077);
    snprintf(name, sizeof(name), "context.%d", (int)getpid());
    cr_request();
    CHECK(errno == 0);
    expect_context(name);
    cr_request_file("other");
    CHECK(errno == 0);
    expect_context("other");
    fd = create("third");
    cr_request_fd(fd);
    CHECK(errno == 0);
    close(fd);
    expect_context("third");

    CHECK(cr_enter_cs(0) == 0);
    cr_request_file("fourth"); /* at once */
    CHECK_IS(cr_status(), CR_STATE_PENDING);
    CHECK_IS(n_events, 0);
    CHECK(cr_leave_cs(0) == 0); /* now */
    WAIT_UNTIL(cr_status() == CR_STATE_IDLE);
    CHECK_EVENTS("c");

    cr_request_fd(-1);
    CHECK(errno == EBADF);
    cr_request_file("/nonexistent/file");
    CHECK(errno == ENOENT);
    return 0;
}
