-- SPDX-License-Identifier: GPL-3.0-or-later
-- For wrk: every request uploads a file.
wrk.method = "PUT"
wrk.body = string.rep("x", 1048576)
