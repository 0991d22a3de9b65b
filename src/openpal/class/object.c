/*
 * object.c - classes: their chain of constructors and destructors, made at the first use
 */
#include <pthread.h>

#include "opal/class/opal_object.h"
#include "opal/constants.h"

opal_class_t opal_object_t_class = {
    .cls_name = "opal_object_t",
    .cls_sizeof = sizeof(opal_object_t),
};

/* What classes have made on the heap, for opal_class_finalize(). */
struct made {
    struct made *next;
    opal_class_t *cls;
    void *chains[]; /* constructors, NULL, destructors, NULL */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct made *all_made;

/* Classes whose chains can't be made (no memory) have empty ones: opal_obj_new() fails then. */
static opal_construct_t no_constructors[] = {NULL};
static opal_destruct_t no_destructors[] = {NULL};

static int depth_of(const opal_class_t *cls)
{
    int depth = 0;

    for (; cls; cls = cls->cls_parent)
        depth++;
    return depth;
}

static void fill(opal_class_t *cls, struct made *made, int depth)
{
    int n_construct = 0, n_destruct = 0, at = depth;

    cls->cls_construct_array = (opal_construct_t *)made->chains;
    cls->cls_destruct_array = (opal_destruct_t *)made->chains + depth + 1;
    for (opal_class_t *c = cls; c; c = c->cls_parent) {
        if (c->cls_construct)
            cls->cls_construct_array[--at] = c->cls_construct;
        if (c->cls_destruct)
            cls->cls_destruct_array[n_destruct++] = c->cls_destruct;
    }
    for (; at < depth; at++)
        cls->cls_construct_array[n_construct++] = cls->cls_construct_array[at];
    cls->cls_construct_array[n_construct] = NULL;
    cls->cls_destruct_array[n_destruct] = NULL;
}

static void initialize_locked(opal_class_t *cls)
{
    int depth = depth_of(cls);
    struct made *made = calloc(1, sizeof(*made) + 2 * ((size_t)depth + 1) * sizeof(void *));

    if (!made) {
        cls->cls_construct_array = no_constructors;
        cls->cls_destruct_array = no_destructors;
        return;
    }
    made->cls = cls;
    made->next = all_made;
    all_made = made;
    fill(cls, made, depth);
    cls->cls_depth = depth;
    __atomic_store_n(&cls->cls_initialized, 1, __ATOMIC_RELEASE);
}

void opal_class_initialize(opal_class_t *cls)
{
    if (__atomic_load_n(&cls->cls_initialized, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&lock);
    if (!cls->cls_initialized)
        initialize_locked(cls);
    pthread_mutex_unlock(&lock);
}

/* The classes can be used again: they are initialized anew then. */
int opal_class_finalize(void)
{
    pthread_mutex_lock(&lock);
    while (all_made) {
        struct made *made = all_made;

        all_made = made->next;
        made->cls->cls_construct_array = NULL;
        made->cls->cls_destruct_array = NULL;
        __atomic_store_n(&made->cls->cls_initialized, 0, __ATOMIC_RELEASE);
        free(made);
    }
    pthread_mutex_unlock(&lock);
    return OPAL_SUCCESS;
}

opal_object_t *opal_obj_new(opal_class_t *cls)
{
    opal_object_t *object;

    opal_class_initialize(cls);
    if (!cls->cls_initialized)
        return NULL;
    object = calloc(1, cls->cls_sizeof);
    if (!object)
        return NULL;
    object->obj_class = cls;
    object->obj_reference_count = 1;
    opal_obj_run_constructors(object);
    return object;
}
