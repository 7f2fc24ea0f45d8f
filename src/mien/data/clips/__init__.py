"""Clips: micro-expressions in their frames, the corpora that hold them, and the planes that are made of them.

clip        a clip and a long video, with the places of their expressions
frames      frames on disk: numbered pictures of a folder, or a video
sheets      coding sheets, which say which frames show what
corpora     the importers, one file a corpus
labelled    classes of clips under a label set
motion      a clip becomes planes: its flow, its strain, its face
prepare     a corpus of clips becomes a store
"""
