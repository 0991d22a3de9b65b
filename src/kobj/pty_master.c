/*
 * pty_master.c - masters of pseudoterminals, and the state of the pair
 *
 * Output that was not read is taken out and put back (pty_output.c). Input that was not read can't
 * be put back as it was, so it is refused; a line that is being typed in canonical mode can't even
 * be seen.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/file.h"
#include "kobj/pty.h"

/* struct termios2 of the kernel, whose header doesn't go together with <termios.h> */
struct settings {
    uint32_t input, output, control, local;
    uint8_t line_discipline;
    uint8_t characters[19];
    uint32_t input_speed, output_speed;
};
_Static_assert(sizeof(struct settings) == 44, "as the kernel's");
#define GET_SETTINGS _IOR('T', 0x2a, struct settings)
#define SET_SETTINGS _IOW('T', 0x2b, struct settings)

static bool match(const struct open_file *file)
{
    return pty_is_master(&file->st);
}

/* ---- who else has the slave? ---- */

static bool holds(const char *pid, const struct stat *slave)
{
    _cleanup_free_ char *path = format_string("/proc/%s/fd", pid);
    _cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
    struct stat st;

    if (!dir)
        return false;
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && fstatat(dirfd(dir), e->d_name, &st, 0) == 0 &&
            st.st_rdev == slave->st_rdev && st.st_dev == slave->st_dev &&
            st.st_ino == slave->st_ino)
            return true;
    return false;
}

static int refuse_outside(const struct kobj_dump *ctx, const struct open_file *file,
                          const struct stat *slave, struct crs_error *err)
{
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    char reason[160];

    for (struct dirent *e; proc && (e = readdir(proc));) {
        pid_t pid = atoi(e->d_name);
        if (pid <= 0 || pid == getpid() || pid == ctx->tool || kobj_find_member(ctx, pid) ||
            !holds(e->d_name, slave))
            continue;
        snprintf(reason, sizeof(reason),
                 "its slave is open in process %d, which isn't part of the checkpoint", (int)pid);
        return file_refuse(file, err, reason, "end that process before the checkpoint");
    }
    return 0;
}

/* ---- state ---- */

static int dump_settings(const struct open_file *file, Crs__PtyMaster *m, uint8_t *characters,
                         struct crs_error *err)
{
    struct winsize window;
    struct settings s;

    if (ioctl(file->dup_fd, GET_SETTINGS, &s) < 0 || ioctl(file->dup_fd, TIOCGWINSZ, &window) < 0)
        return file_refuse_errno(file, err, "read the settings of the pseudoterminal");
    if (s.line_discipline != N_TTY)
        return file_refuse(file, err, "its line discipline isn't the usual one",
                           "set N_TTY (TIOCSETD) before the checkpoint");
    m->input_flags = s.input;
    m->output_flags = s.output;
    m->control_flags = s.control;
    m->local_flags = s.local;
    memcpy(characters, s.characters, sizeof(s.characters));
    m->control_characters.data = characters;
    m->control_characters.len = sizeof(s.characters);
    m->input_speed = s.input_speed;
    m->output_speed = s.output_speed;
    m->rows = window.ws_row;
    m->columns = window.ws_col;
    m->width_pixels = window.ws_xpixel;
    m->height_pixels = window.ws_ypixel;
    return 0;
}

static int dump_modes(const struct open_file *file, Crs__PtyMaster *m, struct crs_error *err)
{
    int locked = 0, packets = 0, exclusive = 0;
    unsigned number;

    if (ioctl(file->dup_fd, TIOCGPTN, &number) < 0 ||
        ioctl(file->dup_fd, TIOCGPTLCK, &locked) < 0 ||
        ioctl(file->dup_fd, TIOCGPKT, &packets) < 0 ||
        ioctl(file->dup_fd, TIOCGEXCL, &exclusive) < 0)
        return file_refuse_errno(file, err, "read the modes of the pseudoterminal");
    m->number = number;
    m->locked = locked;
    m->packet_mode = packets;
    m->exclusive = exclusive;
    return 0;
}

/* Bytes that wait at this end. poll(2) lets the kernel bring those that are still on their way. */
static int waiting_at(int fd, short *ret_events)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = 0;

    if (poll(&p, 1, 0) < 0 || ioctl(fd, FIONREAD, &n) < 0)
        return -errno;
    *ret_events = p.revents;
    return n;
}

static int check_input(struct kobj_dump *ctx, const struct open_file *file,
                       const struct stat *slave_status, Crs__PtyMaster *m, struct crs_error *err)
{
    const struct open_file *slave = pty_find_slave(ctx, file, slave_status);
    short at_master, at_slave = 0;
    int n = waiting_at(file->dup_fd, &at_master);

    if (n < 0)
        return file_refuse_errno(file, err, "see whether data waits in it");
    m->slave_closed = at_master & POLLHUP;
    n = slave ? waiting_at(slave->dup_fd, &at_slave) : 0;
    if (n < 0)
        return file_refuse_errno(slave, err, "see whether data waits in it");
    if (n > 0)
        return file_refuse(slave, err, "there is input in it that was not read yet",
                           "read it before the checkpoint, or try again");
    /* A read gets nothing now, once: that is not counted. */
    m->end_of_input = (at_slave & POLLIN) && !(at_slave & POLLHUP) && (m->local_flags & ICANON);
    return 0;
}

static int dump_output(const struct open_file *file, const struct open_file *slave,
                       Crs__PtyMaster *m, struct bytes *output, struct crs_error *err)
{
    short events;
    int n = waiting_at(file->dup_fd, &events);

    if (n < 0)
        return file_refuse_errno(file, err, "see whether data waits in it");
    if (n == 0) {
        m->output_stopped = slave && pty_is_stopped(slave->dup_fd);
        return 0;
    }
    bool stopped = false;
    int r = pty_read_output(file->dup_fd, output, &stopped);
    m->output_stopped = stopped;
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r,
                        "fd %d (%s): there is output in it that was not read yet, and it can't be "
                        "saved: %s; read it before the checkpoint, or try again",
                        file->fd, file->link, strerror(-r));
    m->output.data = output->data;
    m->output.len = output->size;
    return 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__PtyMaster m = CRS__PTY_MASTER__INIT;
    _cleanup_bytes_ struct bytes output = {0};
    uint8_t characters[19];
    struct stat slave;

    int r = pty_stat_slave(file->dup_fd, &slave);
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "fd %d (%s): can't look at its slave: %s",
                        file->fd, file->link, strerror(-r));
    m.slave_mode = slave.st_mode & 07777;
    r = pty_dump_session(ctx, file, &m, err);
    if (r == 0)
        r = refuse_outside(ctx, file, &slave, err);
    if (r == 0)
        r = dump_settings(file, &m, characters, err);
    if (r == 0)
        r = dump_modes(file, &m, err);
    if (r == 0)
        r = check_input(ctx, file, &slave, &m, err);
    if (r == 0)
        r = dump_output(file, pty_find_slave(ctx, file, &slave), &m, &output, err);
    return r < 0 ? r : kobj_pack(&m.base, ret_payload, err);
}

/* ---- restart ---- */

static int unpack(const Crs__OpenFile *record, Crs__PtyMaster **ret, struct crs_error *err)
{
    return file_unpack(record, &crs__pty_master__descriptor, (ProtobufCMessage **)ret, err);
}

static int set_settings(int fd, const Crs__PtyMaster *m)
{
    struct winsize window = {.ws_row = m->rows,
                             .ws_col = m->columns,
                             .ws_xpixel = m->width_pixels,
                             .ws_ypixel = m->height_pixels};
    struct settings s = {.input = m->input_flags,
                         .output = m->output_flags,
                         .control = m->control_flags,
                         .local = m->local_flags,
                         .line_discipline = N_TTY,
                         .input_speed = m->input_speed,
                         .output_speed = m->output_speed};
    int unlocked = 0;

    if (m->control_characters.len != sizeof(s.characters))
        return -EINVAL;
    memcpy(s.characters, m->control_characters.data, sizeof(s.characters));
    if (ioctl(fd, SET_SETTINGS, &s) < 0 || ioctl(fd, TIOCSWINSZ, &window) < 0 ||
        ioctl(fd, TIOCSPTLCK, &unlocked) < 0)
        return -errno;
    return 0;
}

/* Opened and closed: the master knows the difference to never opened. */
static int close_slave(int fd)
{
    _cleanup_close_ int slave = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

    return slave < 0 ? -errno : 0;
}

/* As it was typed: it isn't echoed. */
static int end_input(int fd, const Crs__PtyMaster *m)
{
    uint8_t key = m->control_characters.data[VEOF];

    return write(fd, &key, 1) == 1 ? 0 : -errno;
}

/* In this order: packet mode begins without the signs of what was done before. */
static int set_up(int fd, const Crs__PtyMaster *m)
{
    int packets = m->packet_mode, r = set_settings(fd, m);

    if (r == 0 && m->end_of_input)
        r = end_input(fd, m);
    if (r == 0 && m->slave_closed)
        r = close_slave(fd);
    if (r == 0 && (m->output.len > 0 || m->output_stopped))
        r = pty_put_output(fd, m->output.data, m->output.len, m->output_stopped);
    return r == 0 && ioctl(fd, TIOCPKT, &packets) < 0 ? -errno : r;
}

static void set_slave_mode(int fd, uint32_t mode)
{
    _cleanup_close_ int slave = ioctl(fd, TIOCGPTPEER, O_PATH | O_NOCTTY | O_CLOEXEC);
    char path[64];
    struct stat st;

    if (slave < 0 || fstat(slave, &st) < 0 || (st.st_mode & 07777) == (mode & 07777))
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", slave);
    if (chmod(path, mode & 07777) < 0)
        errno = 0; /* then it is as the system makes them */
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    Crs__PtyMaster *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = pty_open_master(ctx, m->number, record->flags, &fd, err);
    if (r == 0) {
        r = set_up(fd, m);
        if (r < 0)
            crs_fail(err, CRS_CANT_RESTART, -r, "can't set up a pseudoterminal as it was: %s",
                     strerror(-r));
        else
            set_slave_mode(fd, m->slave_mode);
    }
    crs__pty_master__free_unpacked(m, NULL);
    return r < 0 ? r : file_finish(TAKE_FD(fd), record, ret_fd, err);
}

static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    Crs__PtyMaster *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    r = pty_check_session(ctx, m, err);
    crs__pty_master__free_unpacked(m, NULL);
    return r;
}

/* What would have kept the slaves from being opened. */
static int connect(struct kobj_restore *ctx, const Crs__OpenFile *record, int fd,
                   struct crs_error *err)
{
    int ours = ctx->file_fds[record->id - 1];
    Crs__PtyMaster *m;
    int r = unpack(record, &m, err);

    if (r < 0)
        return r;
    int locked = m->locked;
    if (ioctl(ours, TIOCSPTLCK, &locked) < 0 || (m->exclusive && ioctl(ours, TIOCEXCL) < 0))
        r = crs_fail_errno(err, CRS_CANT_RESTART, "can't lock a pseudoterminal as it was");
    crs__pty_master__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__PtyMaster *m;
    int r = unpack(record, &m, NULL);

    if (r < 0)
        return r;
    snprintf(text, size, "of /dev/pts/%u, %u by %u", m->number, m->columns, m->rows);
    crs__pty_master__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_pty_master = {
    .name = "pty-master",
    .title = "pseudoterminal's master",
    .saved = "with conditions",
    .conditions =
        "its slave is open inside the program only, and the controlling terminal of none but "
        "the program's sessions; refused while input waits in it; a line that is being typed "
        "(canonical mode) is lost; the slave gets another number where that is in use, "
        "except in a namespace of its own",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .connect = connect,
    .describe = describe,
};
