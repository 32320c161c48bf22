"""Prints as JSON what TensorBoard's own readers make of each folder: the curves' values by step, and the images' sizes."""

import io
import json
import sys

from PIL import Image
from tensorboard import data_compat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.summary_pb2 import Summary


def curves(accumulator):
    tags = accumulator.Tags()["scalars"]
    return {tag: {point.step: point.value for point in accumulator.Scalars(tag)} for tag in tags}


def images(accumulator):
    tags = accumulator.Tags()["images"]
    return {tag: {image.step: size_of(image) for image in accumulator.Images(tag)} for tag in tags}


def size_of(event):
    with Image.open(io.BytesIO(event.encoded_image_string)) as image:
        image.load()
        assert (image.mode, image.size) == ("RGB", (event.width, event.height))
        return [event.height, event.width, plugin_of(event)]


def plugin_of(event):
    """The plugin that TensorBoard's pages take the value for."""
    image = Summary.Image(height=event.height, width=event.width, colorspace=3, encoded_image_string=event.encoded_image_string)
    value = Summary.Value(tag="confusion_matrix", image=image)
    return data_compat.migrate_value(value).metadata.plugin_data.plugin_name


def read(folder):
    accumulator = EventAccumulator(folder)
    accumulator.Reload()
    return {"curves": curves(accumulator), "images": images(accumulator)}


print(json.dumps([read(folder) for folder in sys.argv[1:]]))
