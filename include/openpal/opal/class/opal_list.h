/*
 * opal_list.h - a doubly linked list of objects
 *
 * An item is an object that begins with opal_list_item_t; it stands in one list at a time. The list
 * doesn't own its items: OBJ_DESTRUCT() of a list lets go of none.
 *
 * Threads: a list isn't locked.
 */
#ifndef OPAL_LIST_H
#define OPAL_LIST_H

#include "opal/class/opal_object.h"

BEGIN_C_DECLS

typedef struct opal_list_item_t {
    opal_object_t super;
    volatile struct opal_list_item_t *volatile opal_list_next;
    volatile struct opal_list_item_t *volatile opal_list_prev;
    int32_t item_free;
} opal_list_item_t;

typedef struct opal_list_t {
    opal_object_t super;
    opal_list_item_t opal_list_sentinel;
    volatile size_t opal_list_length;
} opal_list_t;

OPAL_DECLSPEC OBJ_CLASS_DECLARATION(opal_list_item_t);
OPAL_DECLSPEC OBJ_CLASS_DECLARATION(opal_list_t);

static inline opal_list_item_t *opal_list_get_next(opal_list_item_t *item)
{
    return (opal_list_item_t *)item->opal_list_next;
}

static inline opal_list_item_t *opal_list_get_prev(opal_list_item_t *item)
{
    return (opal_list_item_t *)item->opal_list_prev;
}

static inline bool opal_list_is_empty(opal_list_t *list)
{
    return list->opal_list_length == 0;
}

static inline size_t opal_list_get_size(opal_list_t *list)
{
    return list->opal_list_length;
}

static inline opal_list_item_t *opal_list_get_first(opal_list_t *list)
{
    return opal_list_get_next(&list->opal_list_sentinel);
}

static inline opal_list_item_t *opal_list_get_last(opal_list_t *list)
{
    return opal_list_get_prev(&list->opal_list_sentinel);
}

/* Where a walk begins and ends: not an item. */
static inline opal_list_item_t *opal_list_get_end(opal_list_t *list)
{
    return &list->opal_list_sentinel;
}

static inline opal_list_item_t *opal_list_get_begin(opal_list_t *list)
{
    return &list->opal_list_sentinel;
}

/* Before the item `next`, which may be the end. */
OPAL_DECLSPEC void opal_list_insert_pos(opal_list_t *list, opal_list_item_t *next,
                                        opal_list_item_t *item);

static inline void opal_list_append(opal_list_t *list, opal_list_item_t *item)
{
    opal_list_insert_pos(list, opal_list_get_end(list), item);
}

static inline void opal_list_prepend(opal_list_t *list, opal_list_item_t *item)
{
    opal_list_insert_pos(list, opal_list_get_first(list), item);
}

/* Gives the item before it. */
OPAL_DECLSPEC opal_list_item_t *opal_list_remove_item(opal_list_t *list, opal_list_item_t *item);

/* NULL of an empty list. */
OPAL_DECLSPEC opal_list_item_t *opal_list_remove_first(opal_list_t *list);
OPAL_DECLSPEC opal_list_item_t *opal_list_remove_last(opal_list_t *list);

END_C_DECLS

#endif
