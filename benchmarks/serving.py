"""One request and many: what threads and providers do to an exported model.

    python -m benchmarks.serving reader.onnx scans/ --threads 1 2 --provider cpu openvino

INPUT is what `zoo predict` takes. Of each setting: milliseconds of a request alone (the median), and requests
a second when all come together. The settings take turns, so that a busy machine is unfair to none of them,
and the best round of each counts.
"""

import argparse
import statistics
import time

import zoo
from zoo.formats import streams

ROUNDS = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("inputs", metavar="INPUT", nargs="+")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--provider", nargs="+", default=["cpu"], metavar="NAME")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="requests that come together")
    options = parser.parse_args()
    settings = [(provider, threads) for provider in options.provider for threads in options.threads]
    readers = {one: zoo.load(options.model, one[1], one[0]).reader for one in settings}
    items = list(inputs(next(iter(readers.values())), options.inputs))
    many = (items * (options.count // len(items) + 1))[: options.count]
    alone, together, first = {one: [] for one in settings}, {one: [] for one in settings}, {}
    for one, reader in readers.items():
        start = time.perf_counter()
        expected = reader(items)
        first[one] = time.perf_counter() - start
        print(f"{one}: {sum(map(str.__ne__, expected, readers[settings[0]](items)))} results differ")
    for _ in range(ROUNDS):
        for one, reader in readers.items():
            alone[one].append(statistics.median(timed(reader, [item]) for item in many[:20]))
            together[one].append(timed(reader, many))
    print(f"{options.model}: {len(many)} requests, {len(items)} of them different")
    print("provider  threads   first, ms   one, ms   together, a second")
    for one in settings:
        provider, threads = one
        speed = len(many) / min(together[one])
        print(
            f"{provider:9} {threads:7} {1e3 * first[one]:11.0f} {1e3 * min(alone[one]):9.1f} {speed:20.0f}"
        )


def inputs(reader, arguments):
    if reader.takes == "lines":
        return (item for _, feed in streams.texts(arguments, reader.columns) for item in feed)
    return streams.paths(arguments, reader.suffixes)


def timed(reader, items):
    start = time.perf_counter()
    reader(items)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
