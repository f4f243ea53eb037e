"""What lies inside a content: the files of archives, the pictures of documents, mails, caches and other pictures."""
