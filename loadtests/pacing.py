# cython: annotation_typing=True
"""Locust's users under our arrivals: every task function waits for a journey before it runs.

Works on unmodified locustfiles (nested and sequential TaskSets too) by replacing two methods of `TaskSet` for the life
of a load process: `execute_next_task` takes a journey first, and `wait` between two journeys is the schedule's business
in an open loop. Sleeping inside a task is think time: it moves the intended time of the journey's next step.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from time import monotonic_ns as now
from typing import Any

import gevent
from gevent import get_hub, getcurrent
from locust import User
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING, DefaultTaskSet, TaskSet

from loadtests.clock import StageClock
from loadtests.session import Session
from targets.payload import draw, fraction

PICK = object()
MAX_EMPTY_TASKS = 20
AHEAD_S = 0.002  # after an arrival has been sent
POOL_EXHAUSTED = "no free user: the pool is at its cap"


class Journey:
    """One arrival on its way: `seq`, `stage`, the intended time of its next step, how many steps it has made, and how
    many tasks it went through that made no request."""

    __slots__ = ("began", "empty_tasks", "next_intended_ns", "over", "seq", "stage", "step")

    def __init__(self, seq: int, stage: int, intended_ns: int) -> None:
        self.seq, self.stage, self.next_intended_ns = seq, stage, intended_ns
        self.step = self.empty_tasks = 0
        self.began = self.over = False


class Pace:
    """Matches journeys with users. `give` is the pump's; `closed` users take the next number themselves.

    `clients`: how many the load is spread over. With more than one, an open loop has at least as many users (of all
    `workers` load processes together) and takes them in turn, so that each client sends its even share; with one, the
    user that was last busy goes first, so that few connections stay warm.
    """

    def __init__(
        self,
        environment: Any,
        session: Session,
        clock: StageClock,
        seed: int,
        cap: int,
        workers: int = 1,
        clients: int = 1,
    ) -> None:
        self._environment, self._session, self._clock = environment, session, clock
        self._seed, self._cap, self.workers = seed, cap, workers
        self._spread = min(cap, -(-clients // workers)) if clients > 1 else 0
        self.closed = self.stopped = False
        self.users = self.journeys = 0
        self._classes: list[type[User]] = list(environment.user_classes)
        weights = [max(user.weight, 0) for user in self._classes]
        total = sum(weights) or 1
        self._upto = [sum(weights[: k + 1]) / total for k in range(len(weights))]
        self._free: dict[type[User], deque[Any]] = {user: deque() for user in self._classes}
        self._ready: dict[type[User], deque[Any]] = {user: deque() for user in self._classes}
        self._growing = False
        self.first_endpoint: dict[object, str] = {}  # task → what it asked for first

    # ------------------------------------------------------------------ handing out

    def give(self, seq: int, intended_ns: int, stage: int) -> None:
        user_class = self._class_for(seq)
        journey = Journey(seq, stage, intended_ns)
        free, ready = self._free[user_class], self._ready[user_class]
        if ready or (free and self.users >= self._spread):
            user = ready.popleft() if ready else free.popleft() if self._spread else free.pop()
            user.journey = journey
            user._greenlet.switch()
        elif self.users < self._cap:
            self.spawn(user_class, journey)
        else:
            endpoint = self._session.recorder.endpoint(self._likely_endpoint(user_class, seq))
            self._session.never_sent(seq, stage, endpoint, -1, intended_ns, POOL_EXHAUSTED)
        if self.users < self._spread and not self._growing:
            self._growing = True
            timer = get_hub().loop.timer(AHEAD_S)
            timer.start(self._grow, timer, self._class_for(seq + self.workers))

    def _grow(self, timer: Any, user_class: type[User]) -> None:
        """One more of the users that the load is spread over, ahead of its first arrival, which then need not wait while it
        is made."""
        timer.close()
        self._growing = False
        if self.users < self._spread and not self.stopped and not self._ready[user_class]:
            self.spawn(user_class, None)

    def start_closed(self, users: int) -> None:
        self.closed = True
        for number in range(users):
            self.spawn(self._class_for(number), None)

    def spawn(self, user_class: type[User], journey: Journey | None) -> None:
        user = user_class(self._environment)
        user.number, user.journey, user.setup_steps = self.users, None, 0
        user.waiting_journey, user.is_new = journey, journey is None
        self.users += 1
        user.start(self._environment.runner.user_greenlets)
        user._greenlet.user = user

    def _class_for(self, seq: int) -> type[User]:
        if len(self._classes) == 1:
            return self._classes[0]
        point = fraction(self._seed, seq, 11)
        return next(user for user, upto in zip(self._classes, self._upto, strict=True) if point < upto)

    def _likely_endpoint(self, user_class: type[User], seq: int) -> str:
        task = self._pick(list(user_class.tasks), seq, 0)
        return self.first_endpoint.get(task) or str(getattr(task, "__name__", user_class.__name__))

    # ------------------------------------------------------------------ the user's side

    def next_journey(self, user: Any) -> Journey:
        """Blocks until this user has an arrival of its own; StopUser at the end."""
        before: Journey | None = user.journey
        waiting: Journey | None = user.waiting_journey
        journey: Journey
        user.journey = None
        if self.stopped or user._state == LOCUST_STATE_STOPPING:
            raise StopUser()
        if waiting is not None:
            journey, user.waiting_journey = waiting, None
        elif self.closed:
            intended_ns = max(before.next_intended_ns if before is not None else now(), self._clock.start_ns)
            stage = self._clock.stage(intended_ns)
            if stage is None:
                raise StopUser()
            journey = Journey(self._clock.take_seq(), stage, intended_ns)
        else:
            journey = self._wait(user)
        user.journey = journey
        self.journeys += 1
        return journey

    def _wait(self, user: Any) -> Journey:
        free = (self._ready if user.is_new else self._free)[type(user)]
        user.is_new = False
        free.append(user)
        user._state = LOCUST_STATE_WAITING
        try:
            while user.journey is None:
                get_hub().switch()
        finally:
            if user.journey is None and user in free:
                free.remove(user)
        user._state = LOCUST_STATE_RUNNING
        arrived: Any = user.journey
        return arrived

    def finish_journey(self, user: Any, journey: Journey, task: object, error: BaseException | None) -> None:
        """A task that made no request (it leaves its TaskSet, it only looks around) hands its arrival to the next one."""
        if journey.step:
            journey.over = True
            self.journeys -= 1
            return
        passed_on = error is None or isinstance(error, InterruptTaskSet | RescheduleTask | RescheduleTaskImmediately)
        if passed_on and journey.empty_tasks < MAX_EMPTY_TASKS:
            journey.empty_tasks += 1
            journey.began = False
            return
        journey.over = True
        self.journeys -= 1
        why = f"the task {getattr(task, '__name__', task)} made no request"
        if error is not None:
            why += f": {type(error).__name__}: {error}"
        endpoint = self._session.recorder.endpoint(getattr(task, "__name__", "task"))
        self._session.never_sent(journey.seq, journey.stage, endpoint, user.number, journey.next_intended_ns, why[:500])

    def _pick(self, tasks: list[Any], seq: int, depth: int, again: int = 0) -> Any:
        return tasks[0] if len(tasks) == 1 else tasks[draw(self._seed, seq, 13, depth, again) % len(tasks)]

    def pick(self, taskset: TaskSet, journey: Journey) -> Any:
        if type(taskset) is DefaultTaskSet:
            return self._pick(taskset.user.tasks, journey.seq, 0, journey.empty_tasks)
        depth, parent = 0, taskset.parent
        while isinstance(parent, TaskSet):
            depth, parent = depth + 1, parent.parent
        return self._pick(taskset.tasks, journey.seq, depth, journey.empty_tasks)


class _Waiting:
    """A task set whose wait time has been drawn already."""

    def __init__(self, taskset: TaskSet, seconds: float) -> None:
        self.user, self._sleep = taskset.user, taskset._sleep
        self._seconds = seconds

    def wait_time(self) -> float:
        return self._seconds


def install(pace: Pace) -> Callable[[], None]:
    """Replaces the methods; returns the function that puts Locust's own back."""
    own = {name: getattr(TaskSet, name) for name in ("execute_next_task", "get_next_task", "wait")}
    own_default = DefaultTaskSet.get_next_task

    def get_next_task(taskset: TaskSet) -> Any:
        return PICK if taskset.tasks else own["get_next_task"](taskset)

    def get_next_task_of_user(taskset: TaskSet) -> Any:
        return PICK if taskset.user.tasks else own_default(taskset)

    def pause(taskset: TaskSet, seconds: float) -> None:
        own["wait"](_Waiting(taskset, seconds))

    def wait(taskset: TaskSet) -> None:
        journey = taskset.user.journey
        between = journey is None or journey.over or not journey.began
        if pace.closed and between and journey is not None and journey.step:
            seconds = taskset.wait_time()
            if seconds > 0:  # a wait of 0 needs no turn of the loop: the request before it took one
                pause(taskset, seconds)
            elif taskset.user._state == LOCUST_STATE_STOPPING:
                raise StopUser()
        elif not between or pace.closed:
            own["wait"](taskset)
        elif taskset.user._state == LOCUST_STATE_STOPPING:
            raise StopUser()

    TaskSet.execute_next_task, TaskSet.get_next_task, TaskSet.wait = _executor(pace, wait, pause), get_next_task, wait
    DefaultTaskSet.get_next_task = get_next_task_of_user
    put_sleep_back = _count_sleep()

    def restore() -> None:
        for name, method in own.items():
            setattr(TaskSet, name, method)
        DefaultTaskSet.get_next_task = own_default
        put_sleep_back()

    return restore


def _executor(
    pace: Pace, wait: Callable[[TaskSet], None], pause: Callable[[TaskSet, float], None]
) -> Callable[[TaskSet], None]:
    def execute_next_task(taskset: TaskSet) -> None:
        """A user's own tasks follow one another here; what they raise goes to Locust's loop, which calls again."""
        user: Any = taskset.user
        queue = taskset._task_queue
        one_after_another = type(taskset) is DefaultTaskSet
        only = user.tasks[0] if one_after_another and len(user.tasks) == 1 else None
        while True:
            journey: Journey | None = user.journey
            if journey is None or journey.over:
                journey = pace.next_journey(user)
            task: Any = queue.popleft() if queue else PICK
            if task is PICK:
                task = only or pace.pick(taskset, journey)
            if isinstance(task, type) or journey.began:
                taskset.execute_task(task)
                return
            journey.began = True
            user.current_task = task
            try:
                if one_after_another:
                    task(user)
                else:
                    taskset.execute_task(task)
            except BaseException as raised:
                pace.finish_journey(user, journey, task, raised)
                raise
            if journey.step:  # as nearly always: what finish_journey does then, without the call
                journey.over = True
                pace.journeys -= 1
            else:
                pace.finish_journey(user, journey, task, None)
            if queue or not one_after_another:
                return
            if not (journey.over and journey.step):
                wait(taskset)
            elif pace.closed:  # as nearly always: what `wait` does then; a user that is to stop ends in next_journey
                seconds = user.wait_time() if user.wait_time else taskset.wait_time()
                if seconds > 0:
                    pause(taskset, seconds)

    return execute_next_task


def _count_sleep() -> Callable[[], None]:
    """Sleeping in a task is think time: the intended time of the next step moves by what was asked for."""
    plain, plain_time = gevent.sleep, time.sleep

    def sleep(seconds: float = 0, ref: bool = True) -> None:
        journey = getattr(getattr(getcurrent(), "user", None), "journey", None)
        if journey is not None and seconds > 0:
            journey.next_intended_ns += int(seconds * 1e9)
        plain(seconds, ref)

    gevent.sleep = time.sleep = sleep  # type: ignore[assignment]

    def restore() -> None:
        gevent.sleep, time.sleep = plain, plain_time

    return restore
