/* No thread can be begun for as long as a file exists. Each refusal writes a byte into it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*begin)(void *), void *argument)
{
    const char *none = getenv("WASESSIOND_TEST_HANG");
    int file = none ? open(none, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (file >= 0) {
        ssize_t written = write(file, "x", 1);
        close(file);
        if (written != 1)
            abort();
        return EAGAIN;
    }
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, begin, argument);
}
