// A file system that has neither hard links nor locks, as some that a cluster
// mounts have none: everything else is passed to a folder below it.
//
// linkless FOLDER ERRNO MOUNTPOINT [OPTION…]
// flock fails with ERRNO; so does no other call. A rename that must not replace
// anything is refused with EINVAL, as sshfs and NFS do.
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int below;        // the folder
static int lock_refusal; // what flock fails with

static const char *name(const char *path) { return path[1] ? path + 1 : "."; }
static int told(long result) { return result < 0 ? -errno : (int)result; }

static void *start(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)connection;
  config->use_ino = 1;
  return NULL;
}
static int look(const char *path, struct stat *seen, struct fuse_file_info *open_file) {
  if (open_file) return told(fstat(open_file->fh, seen));
  return told(fstatat(below, name(path), seen, AT_SYMLINK_NOFOLLOW));
}
static int follow(const char *path, char *text, size_t size) {
  ssize_t length = readlinkat(below, name(path), text, size - 1);
  if (length < 0) return -errno;
  text[length] = 0;
  return 0;
}
static int list(const char *path, void *into, fuse_fill_dir_t add, off_t offset,
                struct fuse_file_info *open_file, enum fuse_readdir_flags flags) {
  (void)offset, (void)open_file, (void)flags;
  int folder = openat(below, name(path), O_RDONLY | O_DIRECTORY);
  DIR *entries = folder < 0 ? NULL : fdopendir(folder);
  if (!entries) return -errno;
  for (struct dirent *entry; (entry = readdir(entries));) {
    struct stat seen = {.st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type)};
    add(into, entry->d_name, &seen, 0, 0);
  }
  closedir(entries);
  return 0;
}
static int make_folder(const char *path, mode_t mode) { return told(mkdirat(below, name(path), mode)); }
static int remove_file(const char *path) { return told(unlinkat(below, name(path), 0)); }
static int remove_folder(const char *path) { return told(unlinkat(below, name(path), AT_REMOVEDIR)); }
static int point(const char *to, const char *path) { return told(symlinkat(to, below, name(path))); }
static int move(const char *from, const char *to, unsigned int flags) {
  return flags ? -EINVAL : told(renameat(below, name(from), below, name(to)));
}
static int mode(const char *path, mode_t mode, struct fuse_file_info *open_file) {
  return told(open_file ? fchmod(open_file->fh, mode) : fchmodat(below, name(path), mode, 0));
}
static int own(const char *path, uid_t user, gid_t group, struct fuse_file_info *open_file) {
  (void)open_file;
  return told(fchownat(below, name(path), user, group, AT_SYMLINK_NOFOLLOW));
}
static int cut(const char *path, off_t size, struct fuse_file_info *open_file) {
  int file = open_file ? (int)open_file->fh : openat(below, name(path), O_WRONLY);
  if (file < 0) return -errno;
  int result = told(ftruncate(file, size));
  if (!open_file) close(file);
  return result;
}
static int times(const char *path, const struct timespec when[2], struct fuse_file_info *open_file) {
  (void)open_file;
  return told(utimensat(below, name(path), when, AT_SYMLINK_NOFOLLOW));
}
static int opened(const char *path, struct fuse_file_info *file) {
  int opened = openat(below, name(path), file->flags & ~O_APPEND);
  file->fh = opened;
  return opened < 0 ? -errno : 0;
}
static int created(const char *path, mode_t mode, struct fuse_file_info *file) {
  int created = openat(below, name(path), (file->flags & ~O_APPEND) | O_CREAT, mode);
  file->fh = created;
  return created < 0 ? -errno : 0;
}
static int get(const char *path, char *bytes, size_t size, off_t from, struct fuse_file_info *file) {
  (void)path;
  return told(pread(file->fh, bytes, size, from));
}
static int put(const char *path, const char *bytes, size_t size, off_t at, struct fuse_file_info *file) {
  (void)path;
  return told(pwrite(file->fh, bytes, size, at));
}
static int closed(const char *path, struct fuse_file_info *file) {
  (void)path;
  return told(close(file->fh));
}
static int flushed(const char *path, int only_data, struct fuse_file_info *file) {
  (void)path;
  return told(only_data ? fdatasync(file->fh) : fsync(file->fh));
}
static int space(const char *path, struct statvfs *seen) {
  (void)path;
  return told(fstatvfs(below, seen));
}
static int refused(const char *path, struct fuse_file_info *file, int operation) {
  (void)path, (void)file, (void)operation;
  return -lock_refusal;
}

// Without `link` the kernel is told that there is no such thing.
static const struct fuse_operations operations = {
    .init = start, .getattr = look, .readlink = follow, .readdir = list,
    .mkdir = make_folder, .unlink = remove_file, .rmdir = remove_folder, .symlink = point,
    .rename = move, .chmod = mode, .chown = own, .truncate = cut, .utimens = times,
    .open = opened, .create = created, .read = get, .write = put, .release = closed,
    .fsync = flushed, .statfs = space, .flock = refused,
};

int main(int count, char **arguments) {
  if (count < 4) return fprintf(stderr, "linkless FOLDER ERRNO MOUNTPOINT [OPTION…]\n"), 2;
  below = open(arguments[1], O_PATH | O_DIRECTORY);
  lock_refusal = atoi(arguments[2]);
  if (below < 0 || lock_refusal <= 0) return perror(arguments[1]), 2;
  umask(0);
  arguments[2] = arguments[0];
  return fuse_main(count - 2, arguments + 2, &operations, NULL);
}
