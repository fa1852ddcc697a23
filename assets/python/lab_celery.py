"""The application of celery: a task does unit of work K. Its broker and its results are directories of the run."""

import os

import celery
from celery import signals

import concmon_lab as lab
import lab_service
import lab_worker

#: How often a worker that is idle looks into the broker's directory, seconds.
POLLING_S = 0.01


def directory(name):
    path = os.path.join(os.environ["TMPDIR"], name)
    os.makedirs(path, exist_ok=True)
    return path


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
