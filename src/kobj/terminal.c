/*
 * terminal.c - terminals
 *
 * A restarted program gets the restarter's terminal. Its settings (raw mode, echo) are set there
 * when the restarter is in the foreground of it, so that an editor or a shell finds what it left.
 *
 * The slave of a pseudoterminal whose master is in the snapshot comes back itself. So does one
 * whose master is gone, which only gives errors.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "kobj/file.h"
#include "kobj/pty.h"
#include "terminal.pb-c.h"

static bool match(const struct open_file *file)
{
    struct termios settings;

    return S_ISCHR(file->st.st_mode) &&
           (tcgetattr(file->dup_fd, &settings) == 0 ||
            (errno == EIO && (pty_is_slave(&file->st) || pty_is_controlling(&file->st))));
}

/* The number of its master among the files; 0: it is somebody else's. */
static uint32_t find_master(const struct kobj_dump *ctx, const struct open_file *file)
{
    const struct open_file *master = pty_find_master(ctx, file);

    return master ? master->id : 0;
}

static int dump(struct kobj_dump *ctx, struct open_file *file, struct bytes *ret_payload,
                struct crs_error *err)
{
    Crs__Terminal m = CRS__TERMINAL__INIT;
    struct winsize window = {0};
    struct termios settings;

    m.path = file->link;
    m.hung_up = tcgetattr(file->dup_fd, &settings) < 0;
    if (m.hung_up)
        return kobj_pack(&m.base, ret_payload, err);
    m.pty_master = find_master(ctx, file);
    m.controlling = pty_is_controlling(&file->st);
    ioctl(file->dup_fd, TIOCGWINSZ, &window); /* not every terminal has a size */
    m.input_flags = settings.c_iflag;
    m.output_flags = settings.c_oflag;
    m.control_flags = settings.c_cflag;
    m.local_flags = settings.c_lflag;
    m.line_discipline = settings.c_line;
    m.control_characters.data = settings.c_cc;
    m.control_characters.len = sizeof(settings.c_cc);
    m.rows = window.ws_row;
    m.columns = window.ws_col;
    return kobj_pack(&m.base, ret_payload, err);
}

/* Numbers 0 to 2 need the restarter's of the same number, all others a terminal. */
static int check(struct kobj_restore *ctx, const Crs__OpenFile *record, struct crs_error *err)
{
    bool low = false;
    int fd, r = 0;

    if (!inherit_is_wanted(record) || inherit_is_given(ctx, record, &r, err))
        return r;
    for (int n = 0; r == 0 && n <= 2; n++) {
        if (!file_has_number(ctx, record, n))
            continue;
        low = true;
        r = inherit_number(ctx, record, n, &fd, err);
        if (r == 0)
            close(fd);
    }
    if (r < 0 || low)
        return r;
    r = inherit_any(ctx, record, &fd, err);
    if (r == 0)
        close(fd);
    return r;
}

/* What the program can set and would miss; speed and size are the terminal's own. */
static void apply(const Crs__Terminal *m, int fd)
{
    struct termios settings, now;

    if (tcgetattr(fd, &now) < 0 || tcgetpgrp(fd) != getpgrp())
        return;
    settings = now;
    settings.c_iflag = m->input_flags;
    settings.c_oflag = m->output_flags;
    settings.c_lflag = m->local_flags;
    if (m->control_characters.len == sizeof(settings.c_cc))
        memcpy(settings.c_cc, m->control_characters.data, sizeof(settings.c_cc));
    if (memcmp(&settings, &now, sizeof(now)) != 0)
        tcsetattr(fd, TCSADRAIN, &settings);
}

static int restore(struct kobj_restore *ctx, const Crs__OpenFile *record, int *ret_fd,
                   struct crs_error *err)
{
    Crs__Terminal *m;
    int r = file_unpack(record, &crs__terminal__descriptor, (ProtobufCMessage **)&m, err);

    if (r < 0)
        return r;
    if (m->pty_master || m->hung_up) {
        r = pty_restore_slave(ctx, record, m, ret_fd, err);
    } else {
        r = inherit_any(ctx, record, ret_fd, err);
        if (r == 0)
            apply(m, *ret_fd);
    }
    crs__terminal__free_unpacked(m, NULL);
    return r;
}

static int describe(const Crs__OpenFile *record, char *text, size_t size)
{
    Crs__Terminal *m;
    int r = file_unpack(record, &crs__terminal__descriptor, (ProtobufCMessage **)&m, NULL);

    if (r < 0)
        return r;
    if (m->hung_up)
        snprintf(text, size, "hung up");
    else
        snprintf(text, size, "%u by %u%s", m->columns, m->rows,
                 m->pty_master ? ", the program's own" : "");
    crs__terminal__free_unpacked(m, NULL);
    return 0;
}

const struct kobj_file_kind kobj_terminal = {
    .name = "terminal",
    .title = "terminal",
    .saved = "with conditions",
    .conditions =
        "a restarted program gets the restarter's descriptors 0 to 2 under these numbers, "
        "and the restarter's terminal under others; pseudoterminals of its own come back",
    .match = match,
    .dump = dump,
    .check = check,
    .restore = restore,
    .describe = describe,
};
