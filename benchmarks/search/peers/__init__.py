"""Other people's searches behind this project's ask and tell, one file each, so that all are counted alike.

A peer is a `Scheduler` (`jouleshift.hpo.scheduler`): the default configuration comes first at full budget,
budgets are epochs, and a trial that goes on names its parent and pays only the epochs in between. Peers run
with their own default settings; where one leaves a choice open, its module says what was chosen. They see
each objective as something to be trained for, also where it could be known. Their packages are not needed by
this project (`requirements.txt` beside this file) and are imported when a peer is made.
"""

PEERS = {
    "optuna-nsga2": "benchmarks.search.peers.optuna_samplers:Nsga2",
    "optuna-tpe": "benchmarks.search.peers.optuna_samplers:Tpe",
    "syne-tune-moasha": "benchmarks.search.peers.syne_tune_moasha:Moasha",
    "neps-mo-hyperband": "benchmarks.search.peers.neps_schedulers:NepsHyperband",
    "neps-primo": "benchmarks.search.peers.neps_schedulers:NepsPrimo",
    "botorch-qlognehvi": "benchmarks.search.peers.botorch_nehvi:NoisyImprovement",
    "botorch-momf": "benchmarks.search.peers.botorch_momf:Momf",
}
