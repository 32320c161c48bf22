"""Prints as JSON what TensorBoard's own reader makes of each folder: the values by step, of each tag."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def curves(folder):
    accumulator = EventAccumulator(folder)
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: {point.step: point.value for point in accumulator.Scalars(tag)} for tag in tags}


print(json.dumps([curves(folder) for folder in sys.argv[1:]]))
