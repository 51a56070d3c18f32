#include "CLibPQ.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#ifdef __APPLE__
#define LIBRARY "libpq.5.dylib"
#else
#define LIBRARY "libpq.so.5"
#endif

#define PQ_POINTER(Return, name, parameters, arguments) static Return(*name##_pointer) parameters;
PQ_FUNCTIONS(PQ_POINTER)

#define PQ_CALL(Return, name, parameters, arguments) \
    Return pq_##name parameters { return name##_pointer arguments; }
PQ_FUNCTIONS(PQ_CALL)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *problem;

static void load(void) {
    // Its names stay its own: other libraries of this process have some of the same.
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        problem = LIBRARY " cannot be loaded; Debian's package is libpq5";
        return;
    }
#define PQ_FIND(Return, name, parameters, arguments) \
    *(void **)&name##_pointer = dlsym(library, "PQ" #name); \
    if (name##_pointer == NULL) problem = LIBRARY " has no PQ" #name;
    PQ_FUNCTIONS(PQ_FIND)
}

const char *pq_load(void) {
    pthread_once(&once, load);
    return problem;
}
