/*
 * shelter.h - a few system calls that are made all or none
 *
 * Some things can be read only by changing an object of a live program and changing it back. If the
 * tool were killed in between, the change would stay.
 */
#ifndef KOBJ_SHELTER_H
#define KOBJ_SHELTER_H

/*
 * Run step(arg) in a short-lived process of its own, in the caller's memory and with copies of its
 * descriptors, while the calling thread waits. If the caller is killed meanwhile, step() is run to
 * its end all the same. It must not call what needs a thread's own state (locks, stdio, malloc).
 * 0, or -errno where no process can be made.
 */
int shelter(void (*step)(void *arg), void *arg);

#endif
