"""A Process computes the factorial of 5 and sends it back through a Queue: a pipe, a lock, and a thread that feeds them."""

import concmon_lab as lab
import lab_tasks


def child(queue, leave):
    lab.task_start(0, 0)
    queue.put(lab_tasks.factorial(5))
    lab.task_end(0, 0)
    leave.recv_bytes()


def body():
    context = lab_root.announcing_context()
    lab.phase("launch")
    queue = context.Queue()
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(queue, theirs))
    process.start()
    theirs.close()
    result = queue.get()
    lab.value("factorial_of_5", result, result)
    lab_root.show_announced()
    lab.phase("teardown")
    ours.send_bytes(b"on")
    process.join()
    lab_root.see_off_announced()


if __name__ == "__main__":
    import lab_root

    lab_root.main(body)
