// SPDX-License-Identifier: GPL-3.0-or-later
/* The ClientHello walk as the kernel runs it, on bytes that test_client_hello_bpf.c puts here. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/client_hello.h"

char LICENSE[] SEC("license") = "GPL";

__u8 data[CLIENT_HELLO_BUFFER_SIZE];
__u32 data_size;
struct client_hello hello;

SEC("tc")
int parse(struct __sk_buff *skb)
{
	return client_hello_parse(data, data_size, &hello);
}
