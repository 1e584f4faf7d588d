/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths that are relative to the file that names them, or to the current directory. */
#ifndef ACME_CONFIG_RELATIVE_H
#define ACME_CONFIG_RELATIVE_H

/*
 * `path` as an absolute path.  A relative one begins at `directory`, and a relative directory at the
 * current one.  A new string; NULL: `errno` says why.
 */
char *relative_path(const char *directory, const char *path);

/*
 * A command for the shell, with its program as an absolute path where it is a relative one, such as
 * "./reload.sh now".  All other commands stay as they are.  A new string; NULL: `errno` says why.
 */
char *relative_command(const char *directory, const char *command);

#endif
