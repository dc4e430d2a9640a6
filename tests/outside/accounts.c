/* A user database that does not answer for as long as a file exists. Each call that waits adds a byte to
   another file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

static void answer_late(void)
{
    const char *hang = getenv("WASESSIOND_TEST_HANG");
    const char *calls = getenv("WASESSIOND_TEST_CALLS");
    if (!hang || !calls || access(hang, F_OK) != 0)
        return;
    int file = open(calls, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (write(file, ".", 1) != 1)
            abort();
        close(file);
    }
    while (access(hang, F_OK) == 0)
        usleep(10000);
}

int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
    answer_late();
    int (*real)(uid_t, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, "getpwuid_r");
    return real(uid, entry, buffer, size, found);
}

int getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
    answer_late();
    int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, "getpwnam_r");
    return real(name, entry, buffer, size, found);
}

int getgrnam_r(const char *name, struct group *entry, char *buffer, size_t size, struct group **found)
{
    answer_late();
    int (*real)(const char *, struct group *, char *, size_t, struct group **) = dlsym(RTLD_NEXT, "getgrnam_r");
    return real(name, entry, buffer, size, found);
}

int getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
    answer_late();
    int (*real)(const char *, gid_t, gid_t *, int *) = dlsym(RTLD_NEXT, "getgrouplist");
    return real(user, group, groups, count);
}
