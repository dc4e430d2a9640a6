/* A disk that does not answer for what lies below a directory, or below all whose names begin so, for as
   long as a file exists. Each call that waits adds a byte to another file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int hangs(void)
{
    const char *hang = getenv("WASESSIOND_TEST_HANG");
    return hang && access(hang, F_OK) == 0;
}

static void answer_late(const char *path)
{
    const char *below = getenv("WASESSIOND_TEST_BELOW");
    const char *calls = getenv("WASESSIOND_TEST_CALLS");
    size_t length = below ? strlen(below) : 0;
    if (!below || !calls)
        return;
    /* PREFIX* is all of them. */
    int all = length > 0 && below[length - 1] == '*';
    length -= all;
    if (strncmp(path, below, length) != 0 || (!all && path[length] != '/' && path[length] != 0))
        return;
    int file = open(calls, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (syscall(SYS_write, file, ".", 1) != 1)
            abort();
        close(file);
    }
    while (hangs())
        usleep(10000);
}

static void answer_late_about(int file)
{
    char link[64], path[PATH_MAX];
    if (!hangs())
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = 0;
    answer_late(path);
}

ssize_t read(int file, void *bytes, size_t count)
{
    answer_late_about(file);
    ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    return real(file, bytes, count);
}

ssize_t write(int file, const void *bytes, size_t count)
{
    answer_late_about(file);
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return real(file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t where)
{
    answer_late_about(file);
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    return real(file, bytes, count, where);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t where)
{
    answer_late_about(file);
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return real(file, bytes, count, where);
}

int fsync(int file)
{
    answer_late_about(file);
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    return real(file);
}

int fdatasync(int file)
{
    answer_late_about(file);
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    return real(file);
}

int rename(const char *from, const char *to)
{
    if (hangs())
        answer_late(from);
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    return real(from, to);
}
