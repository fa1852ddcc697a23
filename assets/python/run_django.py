"""A Django view that computes, served by the threads of cheroot to clients in a process of their own: with one thread, then with several.
Under the GIL more threads serve no more requests; without it they do."""

import threading

import django
from cheroot import wsgi
from cheroot.workers import threadpool
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

import concmon_lab as lab
import lab_http_client
import lab_root
import lab_tasks

units = None


def view(_):
    """One unit of work per request; `units` counts them."""
    thread = threading.current_thread()
    k = next(units)
    worker = getattr(thread, "lab_worker", None)
    if worker is None:
        return HttpResponse(str(lab_root.perform(k)))
    return HttpResponse(str(lab_root.work(worker, k)))


urlpatterns = [path("", view)]


class AnnouncedThread(threadpool.WorkerThread):
    """A thread of the server that says when it is asked for and when it is there."""

    created = 0

    def __init__(self, server):
        super().__init__(server)
        self.lab_worker = AnnouncedThread.created
        AnnouncedThread.created += 1
        lab.requested(self.lab_worker)

    def run(self):
        lab.ready(self.lab_worker, "thread")
        super().run()


class Served:
    """A server with so many threads, as a context."""

    def __init__(self, application, threads, kind):
        threadpool.WorkerThread = kind
        self.server = wsgi.Server(("127.0.0.1", 0), application, numthreads=threads, max=threads)

    def __enter__(self):
        self.server.prepare()
        self.serving = threading.Thread(target=self.server.serve, name="accept")
        self.serving.start()
        return self.server.bind_addr[1]

    def __exit__(self, *_):
        self.server.stop()
        self.serving.join()


def requests(port, clients, count):
    """Requests per second of so many."""
    return lab_http_client.per_second(lab_http_client.load(port, clients, count), count)


def body():
    global units
    import itertools

    spec = lab_root.SPEC
    settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of no use to anybody")
    django.setup()
    application, plain = get_wsgi_application(), threadpool.WorkerThread
    workers, count = spec["workers"], lab_tasks.units(spec)
    units = itertools.count()
    with Served(application, 1, plain) as port:
        requests(port, 1, 1)
        one = requests(port, workers, count)
    units = itertools.count()
    lab.phase("launch")
    with Served(application, workers, AnnouncedThread) as port:
        lab.phase("steady")
        many = requests(port, workers, count)
        lab.value("requests_per_second_1_thread", one, one)
        lab.value("requests_per_second_%d_threads" % workers, many, many)
        lab.value("gain_percent", "%.2fx" % (many / one), many * 100 // one)
        lab_root.show()
        lab.phase("teardown")
    for w in range(workers):
        lab.exited(w)


if __name__ == "__main__":
    lab_root.main(body)
