/*
 * credentials.c - capabilities that were given up stay given up
 * situations: -user
 */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "victim.h"

static struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};

int main(int argc, char **argv)
{
    struct __user_cap_data_struct some[2] = {{1 << CAP_CHOWN | 1 << CAP_KILL,
                                              1 << CAP_CHOWN | 1 << CAP_KILL | 1 << CAP_FOWNER,
                                              1 << CAP_KILL}};
    struct __user_cap_data_struct now[2];

    victim_init(argc, argv);
    MUST(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE, 0, 0, 0) == 0);
    MUST(prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0) == 0);
    MUST(syscall(SYS_capset, &header, some) == 0);
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
    victim_ready();
    while (victim_wait()) {
        CHECK(syscall(SYS_capget, &header, now) == 0);
        CHECK(memcmp(now, some, sizeof(now)) == 0);
        CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_MODULE, 0, 0, 0), 0);
        CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_NET_RAW, 0, 0, 0), 0);
        CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_NET_ADMIN, 0, 0, 0), 1);
        CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
        CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
    }
    return 0;
}
