/* table.c - columns of text, as wide as they need to be */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/output.h"

void output_table_begin(struct output_table *t, const char *const *titles, size_t n_columns)
{
    *t = (struct output_table){.n_columns = n_columns, .titles = titles};
}

void output_table_add(struct output_table *t, const char *cell)
{
    if (t->n_cells == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        char **cells = realloc(t->cells, room * sizeof(*cells));
        if (!cells)
            return;
        t->cells = cells;
        t->room = room;
    }
    t->cells[t->n_cells++] = output_clean(cell ? cell : "");
}

/* Characters of UTF-8 text. */
static int width_of(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* ---- words ---- */

static int screen_width(int least)
{
    struct winsize size;

    if (ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > least)
        return size.ws_col;
    return 100;
}

void output_wrapped(int at, int indent, const char *text)
{
    int width = screen_width(indent + 20);

    for (bool first = true; *text; first = false) {
        int n = (int)strcspn(text, " ");
        if (!first && at + 1 + n > width) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (!first) {
            putchar(' ');
            at++;
        }
        printf("%.*s", n, text);
        at += n;
        text += n + (text[n] == ' ');
    }
    putchar('\n');
}

/* ---- tables ---- */

static const char *cell_at(const struct output_table *t, size_t i)
{
    return i < t->n_cells && t->cells[i] ? t->cells[i] : "";
}

static void print_cell(const char *text, int width, bool right, bool last)
{
    int fill = width - width_of(text);

    if (right)
        printf("%*s%s", fill, "", text);
    else if (last)
        printf("%s", text);
    else
        printf("%s%*s", text, fill, "");
    fputs(last ? "\n" : "  ", stdout);
}

void output_table_end(struct output_table *t)
{
    int widths[16] = {0};
    size_t n = t->n_columns < 16 ? t->n_columns : 16;

    for (size_t c = 0; c < n; c++) {
        widths[c] = width_of(t->titles[c]) - (t->titles[c][0] == '-');
        for (size_t i = c; i < t->n_cells; i += n)
            if (width_of(cell_at(t, i)) > widths[c])
                widths[c] = width_of(cell_at(t, i));
    }
    for (size_t c = 0; c < n; c++) {
        bool right = t->titles[c][0] == '-';
        print_cell(t->titles[c] + right, widths[c], right, c + 1 == n);
    }
    for (size_t i = 0; i < t->n_cells; i++)
        print_cell(cell_at(t, i), widths[i % n], t->titles[i % n][0] == '-', i % n + 1 == n);
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct output_table){0};
}
