"""The application of celery: a task does unit of work K. Its broker and its results are directories of the run."""

import os
import time
import uuid

import celery
from celery import signals
from kombu.transport import filesystem
from kombu.utils.json import dumps

import concmon_lab as lab
import lab_service
import lab_worker

#: How often a worker that is idle looks into the broker's directory, seconds.
POLLING_S = 0.01


def directory(name):
    path = os.path.join(os.environ["TMPDIR"], name)
    os.makedirs(path, exist_ok=True)
    return path


class WholeMessages(filesystem.Channel):
    """A message has its name once it is whole: kombu's own is seen empty by a worker that looks too early, and ends it."""

    def _put(self, queue, payload, **_):
        whole = os.path.join(self.data_folder_out, f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg")
        with open(whole + ".part", "w", encoding="utf-8") as part:
            part.write(dumps(payload))
        os.rename(part.name, whole)


filesystem.Transport.Channel = WholeMessages

app = celery.Celery("lab_celery", broker="filesystem://", backend="file://" + directory("results"))
app.conf.update(
    broker_transport_options={
        "data_folder_in": directory("broker"),
        "data_folder_out": directory("broker"),
        "control_folder": directory("control"),
        "polling_interval": POLLING_S,
    },
    worker_enable_remote_control=False,
)


@app.task
def unit(k):
    return lab_worker.pooled(k)[1]


@signals.worker_process_init.connect
def begin(**_):
    """In a worker process, when it is there."""
    lab_worker.worker_index = lab_service.announce()


@signals.worker_process_shutdown.connect
def end(**_):
    """In a worker process that ends, which it does without Python's own functions for that."""
    lab.farewell()
