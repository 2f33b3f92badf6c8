"""A driver's signs of life from a process of its own, which nothing holds up that holds up the driver.

A thread beats while the event loop is blocked, but not while a long call in C keeps the interpreter's
lock. Run as `python -I -S pulse.py DRIVER_PID EVERY FILE`: every so many seconds it sets FILE's time
(empty: there is none), while the driver lives and does not stand still. On stdin, one JSON a line, come
requests to an API that the driver has just made itself; the last one is made again once the driver is
late with the next. It ends with stdin, or with the driver. Only the standard library is imported, so
that it starts in 10 ms.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from typing import Any

LONGEST_REQUEST_SECONDS = 10.0

Order = dict[str, Any]  # what Request in store/heartbeat.py holds


def main() -> None:
    """Beats until the driver has gone."""
    driver, every, file = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    orders: queue.Queue[Order] = queue.Queue()
    if file:
        threading.Thread(target=_touch, args=[driver, every, file], daemon=True).start()
    threading.Thread(target=_request, args=[driver, orders], daemon=True).start()
    for line in sys.stdin:
        with contextlib.suppress(ValueError):  # it was cut off: the next one is soon there
            orders.put(json.loads(line))
    os._exit(0)


def _touch(driver: int, every: float, file: str) -> None:
    while True:
        time.sleep(every)
        # a full or absent disk: the lease runs out if it lasts
        with contextlib.suppress(OSError):
            if _goes_on(driver):
                _set_time(file)


def _set_time(file: str) -> None:
    try:
        os.utime(file)
    except FileNotFoundError:  # but no folder is made: the run may have been removed
        with open(file, "ab"):
            pass


def _request(driver: int, orders: "queue.Queue[Order]") -> None:
    order = orders.get()
    while True:
        try:
            order = orders.get(timeout=order["after"])
        except queue.Empty:
            with contextlib.suppress(Exception):  # an outage: the driver tells of it
                if _goes_on(driver):
                    _send(order)


def _send(order: Order) -> None:
    import ssl
    import urllib.request

    context = None
    if order["url"].startswith("https:"):
        context = ssl.create_default_context(cafile=order["certificates"] or None)
        if not order["verify"]:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(
        order["url"], order["body"].encode(), order["headers"], method=order["method"]
    )
    answer = urllib.request.urlopen(request, timeout=LONGEST_REQUEST_SECONDS, context=context)
    answer.close()


def _goes_on(driver: int) -> bool:
    """Whether the driver lives and does not stand still (SIGSTOP, Ctrl-Z)."""
    if os.getppid() != driver:
        os._exit(0)
    try:
        with open(f"/proc/{driver}/stat", "rb") as stat:
            return stat.read().rpartition(b") ")[2][:1] not in (b"T", b"t")
    except OSError:  # no Linux
        return True


if __name__ == "__main__":
    main()
