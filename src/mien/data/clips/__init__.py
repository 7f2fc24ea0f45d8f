"""Clips: micro-expressions in their frames, and the corpora that hold them.

clip        a clip and its frames
frames      frames on disk: numbered pictures of a folder, or a video
"""
