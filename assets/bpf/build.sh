#!/bin/sh
# Builds task_iter.bpf.o from task_iter.bpf.c: needs clang with the BPF target and llvm-strip, no kernel or libbpf headers.
# Usage: build.sh [OUTPUT]; without OUTPUT the committed object is replaced.
set -eu
cd "$(dirname "$0")"
output=${1:-task_iter.bpf.o}
# -g gives the BTF that relocation needs; the strip takes away the debug sections, paths of this machine included.
${CLANG:-clang} -target bpf -mcpu=v3 -O2 -g -Wall -Werror -fdebug-prefix-map="$PWD"=. -c task_iter.bpf.c -o "$output"
${LLVM_STRIP:-llvm-strip} -g "$output"
