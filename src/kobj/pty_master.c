/*
 * pty_master.c - masters of pseudoterminals, and the state of the pair
 *
 * What was not read, in both directions, is taken out and put back (pty_waiting.c). A line that is
 * being typed in canonical mode can't be seen otherwise, so that is done wherever there may be one.
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
#include "kobj/standstill.h"

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

static int dump_settings(const struct open_file *file, Crs__PtyMaster *m, struct pty_settings *ret,
                         struct crs_error *err)
{
    struct winsize window;
    struct pty_settings s;

    if (ioctl(file->dup_fd, PTY_GET_SETTINGS, &s) < 0 ||
        ioctl(file->dup_fd, TIOCGWINSZ, &window) < 0)
        return file_refuse_errno(file, err, "read the settings of the pseudoterminal");
    if (s.line_discipline != N_TTY)
        return file_refuse(file, err, "its line discipline isn't the usual one",
                           "set N_TTY (TIOCSETD) before the checkpoint");
    m->input_flags = s.input;
    m->output_flags = s.output;
    m->control_flags = s.control;
    m->local_flags = s.local;
    *ret = s;
    m->control_characters.data = ret->characters;
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
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI};
    int n = 0;

    if (poll(&p, 1, 0) < 0 || ioctl(fd, FIONREAD, &n) < 0)
        return -errno;
    *ret_events = p.revents;
    return n;
}

/* What waits, as far as it can be seen. */
struct seen {
    const struct open_file *slave;
    short at_master, at_slave; /* poll(2) */
    int output, input;
};

static int look(const struct kobj_dump *ctx, const struct open_file *file,
                const struct stat *slave_status, struct seen *ret, struct crs_error *err)
{
    *ret = (struct seen){.slave = pty_find_slave(ctx, file, slave_status)};
    ret->output = waiting_at(file->dup_fd, &ret->at_master);
    if (ret->output >= 0 && ret->slave)
        ret->input = waiting_at(ret->slave->dup_fd, &ret->at_slave);
    if (ret->output < 0 || ret->input < 0)
        return file_refuse_errno(file, err, "see whether data waits in it");
    if (ret->at_master & POLLPRI)
        return file_refuse_for_now(file, err,
                                   "a sign of packet mode (TIOCPKT) was not read from it yet",
                                   "read it before the checkpoint, or try again");
    return 0;
}

static bool must_be_taken(const struct seen *seen)
{
    return seen->output > 0 || seen->input > 0 ||
           (seen->slave && ((seen->at_slave & POLLIN) || pty_is_stopped(seen->slave->dup_fd)));
}

/* A slave that can't be opened, or was never opened, isn't opened for what can't be seen. */
static bool may_have_more(const struct seen *seen, const struct pty_settings *s,
                          const Crs__PtyMaster *m)
{
    return (seen->slave || m->slave_closed) && pty_is_canonical(s) && !m->locked && !m->exclusive;
}

/* Whoever goes on when the tool is killed finds everything in its place; in a tree that is too
 * large for that, within a millisecond. */
static int take_in_standstill(struct kobj_dump *ctx, int master, const struct seen *seen,
                              struct pty_waiting *w, struct crs_error *err)
{
    const int fds[] = {master, seen->slave ? seen->slave->dup_fd : -1};
    struct standstill standstill;
    bool still = standstill_begin(ctx, fds, seen->slave ? 2 : 1, &standstill, NULL) == 0;
    int r = pty_read_waiting(master, w);

    if (!still)
        return r;
    return standstill_end(&standstill, err) < 0 ? -EIO : r;
}

static int record_lines(Crs__PtyMaster *m, const struct pty_input *in)
{
    const uint8_t *data = in->data;

    m->lines = calloc(in->n_lines + 1, sizeof(*m->lines));
    if (!m->lines)
        return -ENOMEM;
    for (size_t i = 0; i < in->n_lines; i++) {
        Crs__PtyLine *line = malloc(sizeof(*line));
        if (!line)
            return -ENOMEM;
        crs__pty_line__init(line);
        line->text = (ProtobufCBinaryData){in->lines[i].size, (uint8_t *)data}; /* borrowed */
        line->delimited = in->lines[i].delimited;
        m->lines[m->n_lines++] = line;
        data += line->text.len;
    }
    m->typed = (ProtobufCBinaryData){in->data + in->size - data, (uint8_t *)data};
    return 0;
}

static void free_lines(Crs__PtyMaster *m)
{
    for (size_t i = 0; i < m->n_lines; i++)
        free(m->lines[i]);
    free(m->lines);
}

static int refuse_waiting(const struct open_file *file, int r, struct crs_error *err)
{
    char reason[200];

    if (r == -EOVERFLOW || r == -EAGAIN)
        return file_refuse_for_now(file, err,
                                   "there is so much input that was not read yet that not all of "
                                   "it was processed",
                                   "read it before the checkpoint, or try again");
    snprintf(reason, sizeof(reason),
             "there is data in it that was not read yet, and it can't be saved: %s", strerror(-r));
    return file_refuse(file, err, reason, "read it before the checkpoint, or try again");
}

/* The record borrows it. */
static int dump_waiting(struct kobj_dump *ctx, const struct open_file *file,
                        const struct seen *seen, const struct pty_settings *s, Crs__PtyMaster *m,
                        struct pty_waiting *w, struct crs_error *err)
{
    bool more = may_have_more(seen, s, m);
    int r = pty_check_input(s, seen->input);

    if (seen->input > 0 && r < 0)
        return refuse_waiting(file, r, err);
    if (!more && !must_be_taken(seen))
        return 0;
    w->wants_input = more || seen->input > 0;
    r = take_in_standstill(ctx, file->dup_fd, seen, w, err);
    if (r < 0)
        return refuse_waiting(file, r, err);
    m->output = (ProtobufCBinaryData){w->output_size, w->output};
    m->output_stopped = w->stop != PTY_RUNS;
    m->stopped_by_key = w->stop == PTY_STOPPED_BY_KEY;
    return record_lines(m, &w->input) < 0 ? crs_fail(err, CRS_FAILED, ENOMEM, "out of memory") : 0;
}

static int dump_pair(struct kobj_dump *ctx, const struct open_file *file, const struct stat *slave,
                     struct pty_settings *s, Crs__PtyMaster *m, struct crs_error *err)
{
    int r = pty_dump_session(ctx, file, m, err);

    if (r == 0)
        r = refuse_outside(ctx, file, slave, err);
    if (r == 0)
        r = dump_settings(file, m, s, err);
    return r == 0 ? dump_modes(file, m, err) : r;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    _cleanup_pty_waiting_ struct pty_waiting *w = pty_waiting_new();
    Crs__PtyMaster m = CRS__PTY_MASTER__INIT;
    struct pty_settings s;
    struct seen seen;
    struct stat slave;

    if (!w)
        return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
    int r = pty_stat_slave(file->dup_fd, &slave);
    if (r < 0)
        return crs_fail(err, CRS_CANT_CHECKPOINT, -r, "fd %d (%s): can't look at its slave: %s",
                        file->fd, file->link, strerror(-r));
    m.slave_mode = slave.st_mode & 07777;
    r = dump_pair(ctx, file, &slave, &s, &m, err);
    if (r == 0)
        r = look(ctx, file, &slave, &seen, err);
    m.slave_closed = r == 0 && (seen.at_master & POLLHUP);
    if (r == 0)
        r = dump_waiting(ctx, file, &seen, &s, &m, w, err);
    if (r == 0)
        r = kobj_pack(&m.base, ret_payload, err);
    free_lines(&m);
    return r;
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
    struct pty_settings s = {.input = m->input_flags,
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
    if (ioctl(fd, PTY_SET_SETTINGS, &s) < 0 || ioctl(fd, TIOCSWINSZ, &window) < 0 ||
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

/* In the form in which it was taken. */
static int fill(struct pty_waiting *w, const Crs__PtyMaster *m)
{
    struct pty_input *in = &w->input;
    size_t size = m->typed.len;

    for (size_t i = 0; i < m->n_lines; i++)
        size += m->lines[i]->text.len;
    if (size > PTY_ROOM || m->n_lines > PTY_LINES || m->output.len > PTY_ROOM)
        return -EMSGSIZE;
    for (size_t i = 0; i < m->n_lines; i++) {
        const ProtobufCBinaryData *text = &m->lines[i]->text;
        in->lines[in->n_lines++] =
            (struct pty_line){text->len, m->lines[i]->delimited && text->len};
        if (text->len > 0)
            memcpy(in->data + in->size, text->data, text->len);
        in->size += text->len;
    }
    if (m->typed.len > 0)
        memcpy(in->data + in->size, m->typed.data, m->typed.len);
    in->size += m->typed.len;
    if (m->output.len > 0)
        memcpy(w->output, m->output.data, m->output.len);
    w->output_size = m->output.len;
    w->stop = !m->output_stopped  ? PTY_RUNS
              : m->stopped_by_key ? PTY_STOPPED_BY_KEY
                                  : PTY_STOPPED_BY_CALL;
    return 0;
}

static int put_waiting(int fd, const Crs__PtyMaster *m)
{
    _cleanup_pty_waiting_ struct pty_waiting *w = NULL;

    if (m->n_lines == 0 && m->typed.len == 0 && m->output.len == 0 && !m->output_stopped)
        return 0;
    w = pty_waiting_new();
    int r = w ? fill(w, m) : -ENOMEM;
    return r == 0 ? pty_put_waiting(fd, w) : r;
}

/* In this order: packet mode begins without the signs of what was done before. */
static int set_up(int fd, const Crs__PtyMaster *m)
{
    int packets = m->packet_mode, r = set_settings(fd, m);

    if (r == 0 && m->end_of_input)
        r = end_input(fd, m);
    if (r == 0)
        r = put_waiting(fd, m);
    if (r == 0 && m->slave_closed)
        r = close_slave(fd);
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
        "the program's sessions; refused while more input waits in it than was processed (some "
        "4000 characters); the slave gets another number where that is in use, except in a "
        "namespace of its own",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .connect = connect,
    .describe = describe,
};
