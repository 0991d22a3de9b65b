/*
 * opal_object.h - objects with a class, constructors and a reference count
 *
 * A class is a struct that begins with its parent's struct, named `super`; the root is
 * opal_object_t. OBJ_CLASS_INSTANCE() defines a class, OBJ_NEW() makes an object on the heap with
 * one reference, OBJ_CONSTRUCT() one that has its memory already. Constructors run from the root
 * down to the class, destructors the other way.
 *
 * Threads: references are counted atomically; a class is initialized once, whoever comes first.
 */
#ifndef OPAL_OBJECT_H
#define OPAL_OBJECT_H

#include <stdlib.h>

#include "opal_config.h"

BEGIN_C_DECLS

typedef struct opal_object_t opal_object_t;
typedef struct opal_class_t opal_class_t;
typedef void (*opal_construct_t)(opal_object_t *);
typedef void (*opal_destruct_t)(opal_object_t *);

struct opal_class_t {
    const char *cls_name;
    opal_class_t *cls_parent;
    opal_construct_t cls_construct;
    opal_destruct_t cls_destruct;
    int cls_initialized;
    int cls_depth;
    opal_construct_t *cls_construct_array; /* root first, ends with NULL */
    opal_destruct_t *cls_destruct_array;   /* root last, ends with NULL */
    size_t cls_sizeof;
};

struct opal_object_t {
    opal_class_t *obj_class;
    volatile int32_t obj_reference_count;
};

#define OBJ_CLASS(NAME)             (&(NAME##_class))
#define OBJ_CLASS_DECLARATION(NAME) extern opal_class_t NAME##_class

/* CONSTRUCTOR and DESTRUCTOR may be NULL. */
#define OBJ_CLASS_INSTANCE(NAME, PARENT, CONSTRUCTOR, DESTRUCTOR)                                  \
    opal_class_t NAME##_class = {#NAME,                                                            \
                                 OBJ_CLASS(PARENT),                                                \
                                 (opal_construct_t)(CONSTRUCTOR),                                  \
                                 (opal_destruct_t)(DESTRUCTOR),                                    \
                                 0,                                                                \
                                 0,                                                                \
                                 NULL,                                                             \
                                 NULL,                                                             \
                                 sizeof(NAME)}

/* A new object with one reference, or NULL when there is no memory. */
#define OBJ_NEW(type) ((type *)opal_obj_new(OBJ_CLASS(type)))

#define OBJ_RETAIN(object) ((void)opal_obj_update((opal_object_t *)(object), 1))

/* Gives a reference back. With the last one the object is destructed and freed, and the pointer
 * becomes NULL. */
#define OBJ_RELEASE(object)                                                                        \
    do {                                                                                           \
        if (opal_obj_update((opal_object_t *)(object), -1) == 0) {                                 \
            opal_obj_run_destructors((opal_object_t *)(object));                                   \
            free(object);                                                                          \
            object = NULL;                                                                         \
        }                                                                                          \
    } while (0)

/* For objects in memory that the caller owns. */
#define OBJ_CONSTRUCT(object, type) OBJ_CONSTRUCT_INTERNAL(object, OBJ_CLASS(type))
#define OBJ_CONSTRUCT_INTERNAL(object, type)                                                       \
    do {                                                                                           \
        opal_class_initialize(type);                                                               \
        ((opal_object_t *)(object))->obj_class = (type);                                           \
        ((opal_object_t *)(object))->obj_reference_count = 1;                                      \
        opal_obj_run_constructors((opal_object_t *)(object));                                      \
    } while (0)
#define OBJ_DESTRUCT(object) opal_obj_run_destructors((opal_object_t *)(object))

OPAL_DECLSPEC OBJ_CLASS_DECLARATION(opal_object_t);

/* Called by the macros. */
OPAL_DECLSPEC void opal_class_initialize(opal_class_t *cls);
OPAL_DECLSPEC int opal_class_finalize(void); /* frees what classes have made; no object may live */
OPAL_DECLSPEC opal_object_t *opal_obj_new(opal_class_t *cls);

static inline void opal_obj_run_constructors(opal_object_t *object)
{
    for (opal_construct_t *f = object->obj_class->cls_construct_array; *f; f++)
        (*f)(object);
}

static inline void opal_obj_run_destructors(opal_object_t *object)
{
    for (opal_destruct_t *f = object->obj_class->cls_destruct_array; *f; f++)
        (*f)(object);
}

/* The count afterwards. */
static inline int opal_obj_update(opal_object_t *object, int by)
{
    return __atomic_add_fetch(&object->obj_reference_count, by, __ATOMIC_ACQ_REL);
}

END_C_DECLS

#endif
