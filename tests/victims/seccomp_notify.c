/*
 * seccomp_notify.c - a listener to another process's seccomp filter can't be saved
 *
 * isolated: runs under a seccomp filter of its own
 * refused: is a seccomp listener (anon_inode:seccomp notify)
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "victim.h"

/* A process of its own with a filter that concerns one call only; tells its PID and listener. */
static void be_listened_to(int report)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sethostname, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    char path[5000];

    setsid();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int words[2] = {getpid(), syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                      SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)};
    MUST(write(report, words, sizeof(words)) == sizeof(words) && close(report) == 0);
    victim_path(path, sizeof(path), "stop");
    for (int i = 0; i < 12000 && access(path, F_OK) < 0 && access(victim_dir, F_OK) == 0; i++)
        victim_sleep_ms(10);
    _exit(0);
}

int main(int argc, char **argv)
{
    int report[2], words[2];

    victim_init(argc, argv);
    MUST(pipe(report) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        if (fork() == 0)
            be_listened_to(report[1]);
        _exit(0);
    }
    MUST(waitpid(pid, NULL, 0) == pid && close(report[1]) == 0);
    MUST(read(report[0], words, sizeof(words)) == sizeof(words) && close(report[0]) == 0);
    int pidfd = syscall(SYS_pidfd_open, words[0], 0);
    int fd = syscall(SYS_pidfd_getfd, pidfd, words[1], 0);
    if (fd < 0) {
        perror("seccomp listener");
        return 77;
    }
    close(pidfd);

    victim_ready();
    while (victim_wait())
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
