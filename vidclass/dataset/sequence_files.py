"""Where feature sequences lie below a dataset's folder. What is in the files is features/sequence_store.py's.

sequences/<size>-<weights>/train/Football/Football_train_1-75-features.npy
"""

import os
import re
from collections.abc import Sequence

SEQUENCES = "sequences"  # the folder's name


def sequence_path(variant: str, clip: Sequence, seq_length: int) -> str:
    """The path of a clip's sequence below the folder of all sequences. clip: (split, class, name, ...).
    variant: of the features, the folder's name, see FolderStore."""
    split, class_name, name = clip[:3]
    return os.path.join(variant, split, class_name, f"{name}-{seq_length}-features.npy")


def forget_sequences(data_dir: str | os.PathLike, *clips: Sequence) -> None:
    """Deletes the sequences of clips whose frames are about to change, of every size, weights and length."""
    names: dict[tuple, set] = {}
    for clip in clips:
        names.setdefault((clip[0], clip[1]), set()).add(clip[2])
    root = os.path.join(data_dir, SEQUENCES)
    for variant in os.listdir(root) if os.path.isdir(root) else []:
        for (split, class_name), clip_names in names.items():
            folder = os.path.join(root, variant, split, class_name)
            for file in os.listdir(folder) if os.path.isdir(folder) else []:
                found = re.fullmatch(r"(.*)-\d+-features\.npy", file, re.DOTALL)
                if found and found[1] in clip_names:
                    os.remove(os.path.join(folder, file))
