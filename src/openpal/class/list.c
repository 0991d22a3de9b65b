/*
 * list.c - doubly linked lists of objects
 */
#include "opal/class/opal_list.h"

static void item_construct(opal_list_item_t *item)
{
    item->opal_list_next = item->opal_list_prev = NULL;
    item->item_free = 1;
}

OBJ_CLASS_INSTANCE(opal_list_item_t, opal_object_t, item_construct, NULL);

static void list_construct(opal_list_t *list)
{
    OBJ_CONSTRUCT(&list->opal_list_sentinel, opal_list_item_t);
    list->opal_list_sentinel.opal_list_next = &list->opal_list_sentinel;
    list->opal_list_sentinel.opal_list_prev = &list->opal_list_sentinel;
    list->opal_list_length = 0;
}

static void list_destruct(opal_list_t *list)
{
    list_construct(list);
}

OBJ_CLASS_INSTANCE(opal_list_t, opal_object_t, list_construct, list_destruct);

void opal_list_insert_pos(opal_list_t *list, opal_list_item_t *next, opal_list_item_t *item)
{
    item->opal_list_next = next;
    item->opal_list_prev = next->opal_list_prev;
    next->opal_list_prev->opal_list_next = item;
    next->opal_list_prev = item;
    item->item_free = 0;
    list->opal_list_length++;
}

opal_list_item_t *opal_list_remove_item(opal_list_t *list, opal_list_item_t *item)
{
    opal_list_item_t *before = opal_list_get_prev(item);

    item->opal_list_prev->opal_list_next = item->opal_list_next;
    item->opal_list_next->opal_list_prev = item->opal_list_prev;
    item_construct(item);
    list->opal_list_length--;
    return before;
}

static opal_list_item_t *take(opal_list_t *list, opal_list_item_t *item)
{
    if (opal_list_is_empty(list))
        return NULL;
    opal_list_remove_item(list, item);
    return item;
}

opal_list_item_t *opal_list_remove_first(opal_list_t *list)
{
    return take(list, opal_list_get_first(list));
}

opal_list_item_t *opal_list_remove_last(opal_list_t *list)
{
    return take(list, opal_list_get_last(list));
}
