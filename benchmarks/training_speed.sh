#!/bin/sh
# The timings of docs/training.md: steps of three networks, then epochs of ResNet20; about 11 minutes on two
# quiet cores.
#
#     sh benchmarks/training_speed.sh cifar10-train.parquet DeepShift/pytorch
#
# CIFAR-10's training images as a Parquet file or folder; the folder `pytorch` of a checkout of DeepShift.
# Ends by writing the tables into docs/training.md from the results (benchmarks/results/*.json).
set -eu
here=$(dirname "$0")
python=${PYTHON:-python}
export OMP_WAIT_POLICY=PASSIVE
timed() { "$python" "$here/train_step.py" --models "$1" --limit-s "$2" --rounds 20 --peer "$3"; }
timed resnet20 60 "$2"
timed mobilenetv2 120 "$2"
timed googlenet 240 "$2"
"$python" "$here/epoch_loop.py" "$1" --images 1024 --rounds 5 --peer "$2"
"$python" "$here/training_table.py"
