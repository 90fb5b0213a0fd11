#!/bin/sh
# The whole job on a rendered recording, with the commands a user would type. Usage: sh data/demo/demo.sh python
set -eu
python=$1
demo=data/demo

run() {
    echo
    echo "\$ python $*"
    "$python" "$@"
}

run $demo/prepare.py
# Keras's ImageNet weights where they can be had (Keras keeps them after the first download), random ones elsewhere.
weights=
try_imagenet='from vidclass import cli
def work():
    cli.import_keras()
    from extractor import Extractor
    Extractor((75, 75, 3))
raise SystemExit(cli.run(work))'
if ! reason=$("$python" -c "$try_imagenet" 2>&1 >/dev/null); then
    echo
    echo "$reason"
    echo "The demo goes on with --weights random: enough to tell its two classes apart, not for videos of your own."
    weights="--weights random"
fi
run cut_clips.py $demo/Football.mp4 $demo/labels.csv --seconds 3 --test-split 0.3 --data-dir $demo
run extract_files.py mp4 --data-dir $demo
run extract_features.py 15 2 150 266 --data-dir $demo $weights
run train.py 15 2 150 266 --data-dir $demo $weights | tee $demo/train.log
grep -q "^Test accuracy" $demo/train.log  # stops here if training failed
run clasify.py 15 2 lstm-features.hdf5 $demo/Football.mp4 --data-dir $demo --output $demo/result.avi \
    --hop 0.6 --smooth --report

echo
echo "The video with its classes: $demo/result.avi; what is when: $demo/result.csv, $demo/result.html"
grep "^Test accuracy" $demo/train.log
