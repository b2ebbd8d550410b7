"""Answers questions, a line each.

    python docs/hosts/question_answering.py babi.onnx story.txt < questions.txt

Needs onnxruntime, NumPy and Hugging Face's tokenizers. A line of the story is a sentence; for models
that choose from a list of answers.
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def main(model, story):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    answers = json.loads(about["seqzoo.vocabulary"])["answers"]
    tokenizer = Tokenizer.from_str(about["seqzoo.tokenizer"])
    with open(story, encoding="utf-8") as file:
        sentences = [tokenizer.encode(line).ids for line in file if line.strip()]
    items = np.zeros((1, len(sentences), max(map(len, sentences))), np.int32)  # 0 pads
    for row, ids in zip(items[0], sentences, strict=True):
        row[: len(ids)] = ids
    for line in sys.stdin:
        (found,) = session.run(
            ["probabilities"],
            {
                "story": items,
                "lengths": np.array([len(sentences)], np.int32),
                "question": np.array([tokenizer.encode(line).ids], np.int32),
            },
        )
        print(answers[found[0].argmax()])


if __name__ == "__main__":
    main(*sys.argv[1:])
