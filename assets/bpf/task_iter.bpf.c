// One record per kernel task, written by a BPF task iterator: the whole machine in a few read(2) calls.
//
// Only the fields used are declared; preserve_access_index makes the loader find where they are in the running kernel (CO-RE), and
// field_exists guards those that some kernels lack. The reader's side of the layout is src/kernel/bpf/record.rs: change both, and
// LAYOUT with them. Build with ./build.sh in this directory.

typedef unsigned char u8;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define field_exists(field) __builtin_preserve_field_info(field, 2)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sched_entity {
	u64 sum_exec_runtime;
};
struct sched_info {
	unsigned long long run_delay;
};
struct prev_cputime {
	u64 utime;
	u64 stime;
};
struct thread_info {
	u32 cpu;
};
typedef struct {
	u32 val;
} kuid_t;
struct cred {
	kuid_t euid;
};
struct upid {
	int nr;
};
struct pid {
	struct upid numbers[1];
};
struct tty_driver {
	int major;
	int minor_start;
};
struct tty_struct {
	int index;
	struct tty_driver *driver;
};
// since Linux 6.2
struct percpu_counter {
	s64 count;
};
struct mm_struct {
	unsigned long total_vm;
	unsigned long start_stack;
	struct percpu_counter rss_stat[4];
};
// before Linux 6.2
struct rss_count___old {
	long counter;
};
struct mm_rss_stat___old {
	struct rss_count___old count[4];
};
struct mm_struct___old {
	struct mm_rss_stat___old rss_stat;
};
struct list_head {
	struct list_head *next;
};
struct seqcount {
	unsigned int sequence;
};
struct seqcount_spinlock {
	struct seqcount seqcount;
};
typedef struct {
	struct seqcount_spinlock seqcount;
} seqlock_t;
struct signal_struct {
	int nr_threads;
	struct list_head thread_head;
	seqlock_t stats_lock;
	unsigned long nvcsw;
	unsigned long nivcsw;
	struct pid *pids[4];
	struct tty_struct *tty;
	u64 utime;
	u64 stime;
	unsigned long long sum_sched_runtime;
	struct prev_cputime prev_cputime;
	unsigned long min_flt;
	unsigned long maj_flt;
};
struct task_struct {
	struct thread_info thread_info;
	unsigned int __state;
	unsigned int flags;
	int prio;
	int static_prio;
	unsigned int rt_priority;
	struct sched_entity se;
	unsigned int policy;
	struct sched_info sched_info;
	int exit_state;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	u64 utime;
	u64 stime;
	struct prev_cputime prev_cputime;
	unsigned long nvcsw;
	unsigned long nivcsw;
	u64 start_boottime;
	unsigned long min_flt;
	unsigned long maj_flt;
	struct mm_struct *mm;
	const struct cred *cred;
	u64 self_exec_id;
	char comm[16];
	struct signal_struct *signal;
	struct list_head thread_node;
};
// before Linux 5.10
typedef struct {
	struct seqcount seqcount;
} seqlock_t___plain;
struct signal_struct___plain {
	seqlock_t___plain stats_lock;
};
// before Linux 5.14
struct task_struct___volatile_state {
	volatile long state;
};
// before Linux 5.16, by architecture
struct task_struct___own_cpu {
	unsigned int cpu;
};
// before Linux 5.5
struct task_struct___real_start {
	u64 real_start_time;
};
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

static long (*const seq_write)(struct seq_file *seq, const void *data, u32 length) = (void *)127;

static long (*const probe_read_kernel)(void *to, u32 length, const void *from) = (void *)113;

#define LAYOUT 2

// Bits of task_record.has: what the kernel does tell.
#define HAS_CPU 1
#define HAS_RUN_DELAY 2
#define HAS_MM 4
#define HAS_SUMS 8

// At most this many threads of a process are summed in one go; of more the reader adds up the records.
#define MOST_SUMMED 1024
// How often a sum that an ending thread disturbed is done again.
#define SUM_TRIES 3

struct task_record {
	u32 length;
	u32 layout;
	s32 tid;
	s32 tgid;
	u32 state;
	u32 exit_state;
	u32 flags;
	s32 prio;
	s32 static_prio;
	u32 rt_priority;
	u32 policy;
	u32 cpu;
	u32 has;
	s32 nr_threads;
	u64 start_ns;
	u64 utime_ns;
	u64 stime_ns;
	u64 prev_utime_ns;
	u64 prev_stime_ns;
	u64 run_ns;
	u64 run_delay_ns;
	u64 nvcsw;
	u64 nivcsw;
	u64 min_flt;
	u64 maj_flt;
	char comm[16];
};

// Counters of a process: of its living threads and of those that ended.
struct sums {
	u64 utime_ns;
	u64 stime_ns;
	u64 run_ns;
	u64 nvcsw;
	u64 nivcsw;
	u64 min_flt;
	u64 maj_flt;
};

struct group_record {
	struct task_record task;
	s32 ppid;
	s32 pgrp;
	s32 session;
	s32 tty_major;
	s32 tty_minor;
	u32 euid;
	u64 prev_utime_ns;
	u64 prev_stime_ns;
	struct sums exited;
	struct sums all;
	u64 total_vm_pages;
	s64 file_pages;
	s64 anon_pages;
	s64 swap_pages;
	s64 shmem_pages;
	u64 start_stack;
	u64 exec_id;
};

static __attribute__((always_inline)) void fill_task(struct task_record *record, struct task_struct *task)
{
	record->layout = LAYOUT;
	record->tid = task->pid;
	record->tgid = task->tgid;
	if (field_exists(task->__state))
		record->state = task->__state;
	else
		record->state = (u32)((struct task_struct___volatile_state *)task)->state;
	record->exit_state = (u32)task->exit_state;
	record->flags = task->flags;
	record->prio = task->prio;
	record->static_prio = task->static_prio;
	record->rt_priority = task->rt_priority;
	record->policy = task->policy;
	if (field_exists(task->thread_info.cpu)) {
		record->cpu = task->thread_info.cpu;
		record->has |= HAS_CPU;
	} else if (field_exists(((struct task_struct___own_cpu *)task)->cpu)) {
		record->cpu = ((struct task_struct___own_cpu *)task)->cpu;
		record->has |= HAS_CPU;
	}
	record->nr_threads = task->signal->nr_threads;
	if (field_exists(task->start_boottime))
		record->start_ns = task->start_boottime;
	else
		record->start_ns = ((struct task_struct___real_start *)task)->real_start_time;
	record->utime_ns = task->utime;
	record->stime_ns = task->stime;
	if (field_exists(task->prev_cputime)) {
		record->prev_utime_ns = task->prev_cputime.utime;
		record->prev_stime_ns = task->prev_cputime.stime;
	}
	record->run_ns = task->se.sum_exec_runtime;
	if (field_exists(task->sched_info.run_delay)) {
		record->run_delay_ns = task->sched_info.run_delay;
		record->has |= HAS_RUN_DELAY;
	}
	record->nvcsw = task->nvcsw;
	record->nivcsw = task->nivcsw;
	record->min_flt = task->min_flt;
	record->maj_flt = task->maj_flt;
#pragma unroll
	for (int i = 0; i < 16; i++)
		record->comm[i] = task->comm[i];
}

static __attribute__((always_inline)) void fill_memory(struct group_record *record, struct mm_struct *mm)
{
	record->task.has |= HAS_MM;
	record->total_vm_pages = mm->total_vm;
	record->start_stack = mm->start_stack;
	if (field_exists(mm->rss_stat[0].count)) {
		record->file_pages = mm->rss_stat[0].count;
		record->anon_pages = mm->rss_stat[1].count;
		record->swap_pages = mm->rss_stat[2].count;
		record->shmem_pages = mm->rss_stat[3].count;
	} else {
		struct mm_struct___old *old = (struct mm_struct___old *)mm;
		record->file_pages = old->rss_stat.count[0].counter;
		record->anon_pages = old->rss_stat.count[1].counter;
		record->swap_pages = old->rss_stat.count[2].counter;
		record->shmem_pages = old->rss_stat.count[3].counter;
	}
}

static __attribute__((always_inline)) void add_exited(struct sums *sums, struct signal_struct *signal)
{
	sums->utime_ns = signal->utime;
	sums->stime_ns = signal->stime;
	sums->run_ns = signal->sum_sched_runtime;
	sums->nvcsw = signal->nvcsw;
	sums->nivcsw = signal->nivcsw;
	sums->min_flt = signal->min_flt;
	sums->maj_flt = signal->maj_flt;
}

#define offset_of(type, field) __builtin_preserve_field_info(((type *)0)->field, 0)

// Adds a field of the thread whose thread_node is at `node` to a sum.
#define add_field(sum, node, field) \
	do { \
		u64 value = 0; \
		probe_read_kernel(&value, sizeof(((struct task_struct *)0)->field), \
				  node - offset_of(struct task_struct, thread_node) + offset_of(struct task_struct, field)); \
		sum += value; \
	} while (0)

static __attribute__((always_inline)) unsigned int stats_sequence(struct signal_struct *signal)
{
	if (field_exists(signal->stats_lock.seqcount.seqcount.sequence))
		return *(volatile unsigned int *)&signal->stats_lock.seqcount.seqcount.sequence;
	return *(volatile unsigned int *)&((struct signal_struct___plain *)signal)->stats_lock.seqcount.sequence;
}

// Counters of the whole group at one moment. The records of single threads are written one after the other, and a thread that ends
// in between would be missing, or counted twice. The kernel takes stats_lock to move a thread's counters into the group's, so the sum
// holds if its sequence is the same and even before and after. Returns whether it holds.
static __attribute__((noinline)) int sum_threads(struct sums *to, struct signal_struct *signal)
{
	struct sums sums = {};
	unsigned int before = stats_sequence(signal);
	struct list_head *node = signal->thread_head.next;
	int count = signal->nr_threads;
	int left = count;
	add_exited(&sums, signal);
#pragma nounroll
	for (int i = 0; i < MOST_SUMMED; i++) {
		if (left <= 0)
			break;
		const char *at = (const char *)node;
		add_field(sums.utime_ns, at, utime);
		add_field(sums.stime_ns, at, stime);
		add_field(sums.run_ns, at, se.sum_exec_runtime);
		add_field(sums.nvcsw, at, nvcsw);
		add_field(sums.nivcsw, at, nivcsw);
		add_field(sums.min_flt, at, min_flt);
		add_field(sums.maj_flt, at, maj_flt);
		node = node->next;
		left--;
	}
	*to = sums;
	return left == 0 && !(before & 1) && before == stats_sequence(signal) && count == signal->nr_threads;
}

static __attribute__((always_inline)) void fill_group(struct group_record *record, struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct tty_struct *tty = signal->tty;
	record->ppid = task->real_parent->tgid;
	record->pgrp = signal->pids[2]->numbers[0].nr;
	record->session = signal->pids[3]->numbers[0].nr;
	if (tty) {
		record->tty_major = tty->driver->major;
		record->tty_minor = tty->driver->minor_start + tty->index;
	}
	if (field_exists(signal->prev_cputime)) {
		record->prev_utime_ns = signal->prev_cputime.utime;
		record->prev_stime_ns = signal->prev_cputime.stime;
	}
	add_exited(&record->exited, signal);
	if (signal->nr_threads > 1) {
#pragma unroll
		for (int i = 0; i < SUM_TRIES; i++) {
			if (!(record->task.has & HAS_SUMS) && sum_threads(&record->all, signal))
				record->task.has |= HAS_SUMS;
		}
	}
	record->exec_id = task->self_exec_id;
	record->euid = task->cred->euid.val;
	if (task->mm)
		fill_memory(record, task->mm);
}

SEC("iter/task") int tasks(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	if (!task)
		return 0;
	if (task->pid == task->tgid) {
		struct group_record record = {};
		record.task.length = sizeof record;
		fill_task(&record.task, task);
		fill_group(&record, task);
		seq_write(context->meta->seq, &record, sizeof record);
	} else {
		struct task_record record = {};
		record.length = sizeof record;
		fill_task(&record, task);
		seq_write(context->meta->seq, &record, sizeof record);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
